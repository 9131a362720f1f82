package dev.vmlet.api;

import static java.util.Objects.requireNonNull;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import io.fabric8.crd.generator.annotation.AdditionalPrinterColumn;
import io.fabric8.crdv2.generator.CRDGenerator;
import io.fabric8.crdv2.generator.CRDPostProcessor;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceColumnDefinition;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinitionVersion;
import io.fabric8.kubernetes.api.model.apiextensions.v1.JSONSchemaProps;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.ByteArrayOutputStream;
import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.yaml.snakeyaml.DumperOptions;
import org.yaml.snakeyaml.Yaml;

/** Makes the CRDs out of the classes of the API: fabric8's generator, and the repairs of what it leaves out. */
final class Crds {
    static final List<Class<? extends CustomResource<?, ?>>> KINDS =
            List.of(VirtualMachine.class, Network.class, NetworkSlice.class, VmNode.class);

    private static final String HEADER = """
            # Made from the classes in dev.vmlet.api. Do not edit; change those and run
            # ./mvnw test -Dtest=CrdGenerationTest -Dgolden=update
            """;

    private Crds() {}

    /** The CRDs as they are to stand in {@code crd/}, by file name. */
    static Map<String, String> generate() {
        List<CustomResourceDefinition> made = new ArrayList<>();
        new CRDGenerator()
                .withOutput(new Nowhere())
                .withPostProcessor(new CRDPostProcessor() {
                    @Override
                    public HasMetadata process(HasMetadata crd, String version) {
                        made.add(repair((CustomResourceDefinition) crd));
                        return crd;
                    }
                })
                .customResourceClasses(List.copyOf(KINDS))
                .forCRDVersions("v1")
                .generate();
        Map<String, String> files = new TreeMap<>();
        for (CustomResourceDefinition crd : made) files.put(crd.getMetadata().getName() + ".yaml", yamlOf(crd));
        return files;
    }

    /**
     * Not the generator's own YAML: that is YAML 1.2 and leaves the enum values {@code True} and {@code False} bare, which
     * kubectl, reading YAML 1.1, takes for booleans. SnakeYAML writes 1.1 and quotes them.
     */
    private static String yamlOf(CustomResourceDefinition crd) {
        DumperOptions options = new DumperOptions();
        options.setDefaultFlowStyle(DumperOptions.FlowStyle.BLOCK);
        options.setWidth(120);
        Object tree = new KubernetesSerialization().convertValue(crd, Map.class);
        return HEADER + new Yaml(options).dump(wholeNumbers(tree));
    }

    /** Limits are doubles in fabric8's model; {@code minimum: 1} reads better than {@code minimum: 1.0}. */
    private static Object wholeNumbers(Object tree) {
        return switch (tree) {
            case Map<?, ?> map -> {
                Map<Object, Object> whole = new LinkedHashMap<>();
                map.forEach((key, value) -> whole.put(key, wholeNumbers(value)));
                yield whole;
            }
            case List<?> list -> list.stream().map(Crds::wholeNumbers).toList();
            case Double number when number == Math.rint(number) -> number.longValue();
            default -> tree;
        };
    }

    /** The class of a CRD's kind. */
    static Class<? extends CustomResource<?, ?>> kindOf(CustomResourceDefinition crd) {
        return KINDS.stream()
                .filter(kind -> HasMetadata.getKind(kind)
                        .equals(crd.getSpec().getNames().getKind()))
                .findFirst()
                .orElseThrow();
    }

    private static CustomResourceDefinition repair(CustomResourceDefinition crd) {
        Class<? extends CustomResource<?, ?>> kind = kindOf(crd);
        CustomResourceDefinitionVersion version = crd.getSpec().getVersions().getFirst();
        JSONSchemaProps root = version.getSchema().getOpenAPIV3Schema();
        root.setDescription(
                requireNonNull(kind.getAnnotation(JsonClassDescription.class)).value());
        Type[] specAndStatus = ((ParameterizedType) kind.getGenericSuperclass()).getActualTypeArguments();
        repair(propertyOf(root, "spec"), (Class<?>) specAndStatus[0]);
        repair(propertyOf(root, "status"), (Class<?>) specAndStatus[1]);
        orderColumns(version, kind);
        return crd;
    }

    /** The generator knows neither list types nor formats, and writes a component's rules twice (field and accessor). */
    private static void repair(JSONSchemaProps schema, Class<?> type) {
        for (RecordComponent component : type.getRecordComponents()) {
            JSONSchemaProps property = propertyOf(schema, component.getName());
            Field field = fieldOf(component);
            property.setXKubernetesValidations(
                    new ArrayList<>(new LinkedHashSet<>(property.getXKubernetesValidations())));
            ListMapKey key = field.getAnnotation(ListMapKey.class);
            if (key != null) {
                property.setXKubernetesListType("map");
                property.setXKubernetesListMapKeys(List.of(key.value()));
            }
            if (field.isAnnotationPresent(Timestamp.class)) property.setFormat("date-time");
            if (component.getType() == Long.class) property.setFormat("int64");
            if (component.getType() == Integer.class) property.setFormat("int32");
            if (component.getType().isRecord()) repair(property, component.getType());
            if (component.getGenericType() instanceof ParameterizedType list
                    && list.getActualTypeArguments()[0] instanceof Class<?> item
                    && item.isRecord()) {
                repair(property.getItems().getSchema(), item);
            }
        }
    }

    /** As the annotations stand on the class: the generator sorts columns by path, which puts Age first. */
    private static void orderColumns(CustomResourceDefinitionVersion version, Class<?> kind) {
        for (CustomResourceColumnDefinition column : version.getAdditionalPrinterColumns()) {
            // The API server does not keep the 0: written out, every `kubectl apply` would find a difference.
            if (Integer.valueOf(0).equals(column.getPriority())) column.setPriority(null);
        }
        List<String> order = Arrays.stream(kind.getAnnotationsByType(AdditionalPrinterColumn.class))
                .map(AdditionalPrinterColumn::name)
                .toList();
        version.getAdditionalPrinterColumns()
                .sort((one, other) -> Integer.compare(order.indexOf(one.getName()), order.indexOf(other.getName())));
    }

    private static JSONSchemaProps propertyOf(JSONSchemaProps schema, String name) {
        return requireNonNull(schema.getProperties().get(name), name);
    }

    private static Field fieldOf(RecordComponent component) {
        try {
            return component.getDeclaringRecord().getDeclaredField(component.getName());
        } catch (NoSuchFieldException e) {
            throw new IllegalStateException("no field for record component " + component, e);
        }
    }

    /** The generator insists on writing. */
    private static final class Nowhere extends CRDGenerator.AbstractCRDOutput<ByteArrayOutputStream> {
        @Override
        protected ByteArrayOutputStream createStreamFor(String crdName) {
            return new ByteArrayOutputStream();
        }

        @Override
        public URI crdURI(String crdName) {
            return URI.create("file:///" + crdName);
        }
    }
}
