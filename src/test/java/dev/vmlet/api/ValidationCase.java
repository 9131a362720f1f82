package dev.vmlet.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * A file of {@code src/test/resources/validation}: one object in one or more versions, each following the other. In
 * {@code valid} all are accepted; in {@code invalid} the last is refused, with every text after {@code # expect:}.
 */
record ValidationCase(String name, List<String> expected, List<JsonNode> versions) {
    private static final Path DIRECTORY = Path.of("src/test/resources/validation");
    private static final String EXPECT = "# expect: ";
    private static final ObjectReader YAML = new YAMLMapper().readerFor(JsonNode.class);

    static List<ValidationCase> valid() throws IOException {
        return in(DIRECTORY.resolve("valid"));
    }

    static List<ValidationCase> invalid() throws IOException {
        return in(DIRECTORY.resolve("invalid"));
    }

    /** The files with objects of ours; an example may have a Service beside them. */
    static List<ValidationCase> in(Path directory) throws IOException {
        try (Stream<Path> paths = Files.walk(directory)) {
            return paths.filter(Files::isRegularFile)
                    .sorted()
                    .map(ValidationCase::read)
                    .filter(each ->
                            !each.versions().getFirst().path("kind").asText().equals("Service"))
                    .toList();
        }
    }

    private static ValidationCase read(Path file) {
        try (MappingIterator<JsonNode> documents = YAML.readValues(file.toFile())) {
            List<String> expected = Files.readAllLines(file).stream()
                    .filter(line -> line.startsWith(EXPECT))
                    .map(line -> line.substring(EXPECT.length()))
                    .toList();
            return new ValidationCase(file.getFileName().toString(), expected, documents.readAll());
        } catch (IOException e) {
            throw new IllegalStateException("read " + file, e);
        }
    }

    /** The class of the objects in this file. */
    Class<?> kind() {
        String kind = versions.getFirst().path("kind").asText();
        return Crds.KINDS.stream()
                .filter(candidate -> candidate.getSimpleName().equals(kind))
                .findFirst()
                .orElseThrow(() -> new IllegalStateException(name + ": unknown kind " + kind));
    }
}
