package dev.vmlet.host.vmm;

import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.HostException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A file of others that vmlet runs or boots, known by its SHA-256.
 *
 * @param what names it for people, such as {@code cloud-hypervisor 53.0}
 * @param fileName in the state directory; carries the version, so that two versions lie side by side
 * @param sha256 64 lower-case hex digits
 * @param option of the command line that names a URL for it, for messages
 */
public record PinnedFile(String what, String fileName, String sha256, boolean executable, String option) {
    /**
     * The file below {@code dir}, fetched from {@code url} when it is not there yet. What lies there is compared with the
     * pin each time: a file that was changed is not run.
     *
     * @param patience for the whole download
     * @throws HostException.Refused naming what is wrong and what to do
     */
    public Path in(Path dir, Optional<URI> url, Duration patience) throws HostException {
        Path file = dir.resolve(fileName);
        if (Files.exists(file)) {
            String found = digest(file);
            if (!found.equals(sha256)) {
                throw new HostException.Refused(
                        "use " + file + ": its sha256 is " + found + ", that of " + what + " is " + sha256
                                + "; remove the file to have it fetched again",
                        null);
            }
            return file;
        }
        if (url.isEmpty()) {
            throw new HostException.Refused(
                    "find " + what + ": " + file + " does not exist; put it there, or say with " + option
                            + " where to fetch it",
                    null);
        }
        fetch(url.get(), file, patience);
        return file;
    }

    private void fetch(URI url, Path file, Duration patience) throws HostException {
        String from = "fetch " + what + " from " + url;
        if (!"http".equals(url.getScheme()) && !"https".equals(url.getScheme())) {
            throw new HostException.Refused(from + ": only http and https", null);
        }
        Path fresh = file.resolveSibling(fileName + ".new");
        try {
            Files.createDirectories(file.resolveSibling(".").normalize());
            int status = download(url, fresh, patience, from);
            if (status != 200) {
                throw new HostException.Refused(from + ": the server answered " + status, null);
            }
            String found = digest(fresh);
            if (!found.equals(sha256)) {
                throw new HostException.Refused(
                        from + ": the sha256 is " + found + ", " + sha256 + " is expected", null);
            }
            Files.setPosixFilePermissions(
                    fresh, PosixFilePermissions.fromString(executable ? "rwxr-xr-x" : "rw-r--r--"));
            DurableFiles.publish(fresh, file);
        } catch (IOException e) {
            throw new HostException.Refused(from + ": " + e.getMessage(), e);
        } finally {
            discard(fresh);
        }
    }

    private static int download(URI url, Path fresh, Duration patience, String what) throws HostException, IOException {
        HttpClient client = HttpClient.newBuilder()
                .followRedirects(HttpClient.Redirect.NORMAL)
                .connectTimeout(patience)
                .build();
        try {
            CompletableFuture<HttpResponse<Path>> answer =
                    client.sendAsync(HttpRequest.newBuilder(url).build(), HttpResponse.BodyHandlers.ofFile(fresh));
            // One deadline for all of it: the client's own ends with the head of the answer.
            return answer.get(patience.toNanos(), TimeUnit.NANOSECONDS).statusCode();
        } catch (TimeoutException e) {
            throw new HostException.TimedOut(what + ": not finished within " + patience.toSeconds() + " s", e);
        } catch (ExecutionException e) {
            throw new IOException(String.valueOf(e.getCause()), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HostException.TimedOut(what + ": interrupted", e);
        } finally {
            client.shutdownNow();
        }
    }

    private static void discard(Path file) throws HostException {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw new HostException.Refused("remove " + file, e);
        }
    }

    private static String digest(Path file) throws HostException {
        try (InputStream in = new DigestInputStream(Files.newInputStream(file), MessageDigest.getInstance("SHA-256"))) {
            long _ = in.transferTo(java.io.OutputStream.nullOutputStream());
            return HexFormat.of()
                    .formatHex(((DigestInputStream) in).getMessageDigest().digest());
        } catch (IOException e) {
            throw new HostException.Refused("read " + file, e);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
