package dev.vmlet.apiserver;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.math.BigInteger;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Date;
import java.util.HexFormat;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.security.auth.x500.X500Principal;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/**
 * Certificate authority, serving certificate and token of one server, made at its first start and kept. The authority's
 * key is thrown away when the certificate is signed: when that nears its end, both are made anew. Bouncy Castle writes
 * the certificates, for the JDK has no public way to; it is not loaded once they are there.
 */
record Credentials(String caCertificatePem, String token, SSLContext tls) {
    private static final Duration VALID = Duration.ofDays(3_650);
    /** Made anew when less than this is left. */
    private static final Duration LEFT_MIN = Duration.ofDays(90);

    private static final int TOKEN_BYTES = 32;
    private static final String CA = "ca.crt";
    private static final String CERTIFICATE = "server.crt";
    private static final String KEY = "server.key";
    private static final String TOKEN = "token";

    static Credentials of(Path directory, InetAddress address, Clock clock) throws IOException {
        try {
            Path key = directory.resolve(KEY);
            if (Files.notExists(key) || !isFit(directory, address, clock.instant())) {
                make(directory, address, clock.instant());
            }
            return read(directory);
        } catch (GeneralSecurityException | OperatorCreationException e) {
            throw new IOException(
                    "certificates in " + directory + " cannot be made or read: " + e.getMessage() + "; move " + CA
                            + ", " + CERTIFICATE + " and " + KEY + " away and start again",
                    e);
        }
    }

    /** Whether it lasts, and has the address that is listened on this time among its names. */
    private static boolean isFit(Path directory, InetAddress address, Instant now)
            throws IOException, GeneralSecurityException {
        X509Certificate certificate = certificate(Files.readString(directory.resolve(CERTIFICATE)));
        Collection<List<?>> names = certificate.getSubjectAlternativeNames();
        return !certificate.getNotAfter().toInstant().isBefore(now.plus(LEFT_MIN))
                && names != null
                && names.contains(List.of(GeneralName.iPAddress, address.getHostAddress()));
    }

    private static Credentials read(Path directory) throws IOException, GeneralSecurityException {
        String ca = Files.readString(directory.resolve(CA));
        X509Certificate authority = certificate(ca);
        X509Certificate certificate = certificate(Files.readString(directory.resolve(CERTIFICATE)));
        PrivateKey key = KeyFactory.getInstance("EC")
                .generatePrivate(new PKCS8EncodedKeySpec(der(Files.readString(directory.resolve(KEY)))));
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        char[] none = new char[0];
        store.setKeyEntry("server", key, none, new Certificate[] {certificate, authority});
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, none);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(keys.getKeyManagers(), null, null);
        return new Credentials(ca, token(directory), tls);
    }

    /** The token that is kept, or a new one. */
    private static String token(Path directory) throws IOException {
        Path file = directory.resolve(TOKEN);
        if (!Files.notExists(file)) {
            String token = Files.readString(file).strip();
            if (token.length() >= TOKEN_BYTES) return token;
        }
        byte[] random = new byte[TOKEN_BYTES];
        new SecureRandom().nextBytes(random);
        String token = HexFormat.of().formatHex(random);
        PrivateFiles.write(file, (token + "\n").getBytes(StandardCharsets.UTF_8));
        return token;
    }

    private static void make(Path directory, InetAddress address, Instant now)
            throws IOException, GeneralSecurityException, OperatorCreationException {
        KeyPair authority = keyPair();
        KeyPair server = keyPair();
        X500Principal issuer = new X500Principal("CN=vmlet standalone " + serial().toString(16));
        X509Certificate ca = sign(issuer, issuer, authority.getPublic(), authority.getPrivate(), now, List.of());
        X509Certificate certificate = sign(
                issuer,
                new X500Principal("CN=vmlet-apiserver"),
                server.getPublic(),
                authority.getPrivate(),
                now,
                names(address));
        PrivateFiles.write(directory.resolve(CA), pem("CERTIFICATE", ca.getEncoded()));
        PrivateFiles.write(directory.resolve(CERTIFICATE), pem("CERTIFICATE", certificate.getEncoded()));
        // Last: while it is missing, the others count for nothing.
        PrivateFiles.write(
                directory.resolve(KEY), pem("PRIVATE KEY", server.getPrivate().getEncoded()));
    }

    private static KeyPair keyPair() throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp256r1"));
        return generator.generateKeyPair();
    }

    private static BigInteger serial() {
        return new BigInteger(63, new SecureRandom()).setBit(62);
    }

    private static List<GeneralName> names(InetAddress address) {
        List<GeneralName> names = new ArrayList<>();
        names.add(new GeneralName(GeneralName.dNSName, "localhost"));
        names.add(new GeneralName(GeneralName.iPAddress, "127.0.0.1"));
        names.add(new GeneralName(GeneralName.iPAddress, "::1"));
        if (!List.of("127.0.0.1", "0:0:0:0:0:0:0:1").contains(address.getHostAddress())) {
            names.add(new GeneralName(GeneralName.iPAddress, address.getHostAddress()));
        }
        return names;
    }

    /** @param names of the server; empty for the authority itself */
    private static X509Certificate sign(
            X500Principal issuer,
            X500Principal subject,
            PublicKey key,
            PrivateKey signer,
            Instant now,
            List<GeneralName> names)
            throws IOException, GeneralSecurityException, OperatorCreationException {
        boolean authority = names.isEmpty();
        // An hour back, for clocks that differ.
        Date from = Date.from(now.minus(Duration.ofHours(1)));
        var builder = new JcaX509v3CertificateBuilder(issuer, serial(), from, Date.from(now.plus(VALID)), subject, key);
        builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(authority));
        builder.addExtension(
                Extension.keyUsage, true, new KeyUsage(authority ? KeyUsage.keyCertSign : KeyUsage.digitalSignature));
        if (!authority) {
            builder.addExtension(
                    Extension.extendedKeyUsage, false, new ExtendedKeyUsage(KeyPurposeId.id_kp_serverAuth));
            builder.addExtension(
                    Extension.subjectAlternativeName, false, new GeneralNames(names.toArray(new GeneralName[0])));
        }
        byte[] der = builder.build(new JcaContentSignerBuilder("SHA256withECDSA").build(signer))
                .getEncoded();
        return certificate(new String(pem("CERTIFICATE", der), StandardCharsets.UTF_8));
    }

    private static X509Certificate certificate(String pem) throws GeneralSecurityException {
        return (X509Certificate) CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(pem.getBytes(StandardCharsets.UTF_8)));
    }

    private static byte[] pem(String kind, byte[] der) {
        String lines = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
        return ("-----BEGIN " + kind + "-----\n" + lines + "\n-----END " + kind + "-----\n")
                .getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] der(String pem) {
        return Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
    }
}
