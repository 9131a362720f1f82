package dev.vmlet.host.vmm.cloudhypervisor;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/** The stand-in as an executable that any user may run: a script beside copies of its classes. */
public final class CloudHypervisorBinary {
    private CloudHypervisorBinary() {}

    /**
     * Writes the executable into {@code dir}; it looks at the control file {@code dir/ctl}.
     *
     * @param properties more for the stand-in's JVM, such as {@code -Dtaps=true}
     */
    public static Path standIn(Path dir, String properties) throws IOException {
        Path classes = dir.resolve("classes/dev/vmlet/host/vmm/cloudhypervisor");
        Files.createDirectories(classes);
        Path built = built().resolve("dev/vmlet/host/vmm/cloudhypervisor");
        try (DirectoryStream<Path> files = Files.newDirectoryStream(built, "StandInCloudHypervisor*.class")) {
            for (Path file : files) {
                Files.copy(file, classes.resolve(file.getFileName().toString()));
            }
        }
        Path script = dir.resolve("cloud-hypervisor");
        Files.writeString(script, """
                #!/bin/sh
                exec '%s/bin/java' -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xmx64m -Dctl='%s' %s -cp '%s' \
                dev.vmlet.host.vmm.cloudhypervisor.StandInCloudHypervisor "$@"
                """.formatted(
                        System.getProperty("java.home"), dir.resolve("ctl"), properties, dir.resolve("classes")));
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwxr-xr-x"));
        return script;
    }

    private static Path built() throws IOException {
        try {
            return Path.of(StandInCloudHypervisor.class
                    .getProtectionDomain()
                    .getCodeSource()
                    .getLocation()
                    .toURI());
        } catch (URISyntaxException e) {
            throw new IOException(e);
        }
    }
}
