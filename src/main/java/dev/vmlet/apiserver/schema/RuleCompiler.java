package dev.vmlet.apiserver.schema;

import dev.cel.common.CelAbstractSyntaxTree;
import dev.cel.common.CelErrorCode;
import dev.cel.common.CelOptions;
import dev.cel.common.CelValidationException;
import dev.cel.common.ast.CelExpr;
import dev.cel.common.navigation.CelNavigableAst;
import dev.cel.common.types.CelType;
import dev.cel.common.types.OptionalType;
import dev.cel.common.types.SimpleType;
import dev.cel.compiler.CelCompiler;
import dev.cel.compiler.CelCompilerBuilder;
import dev.cel.compiler.CelCompilerFactory;
import dev.cel.extensions.CelExtensions;
import dev.cel.parser.CelStandardMacro;
import dev.cel.runtime.CelEvaluationException;
import dev.cel.runtime.CelRuntime;
import dev.cel.runtime.CelRuntimeFactory;
import dev.vmlet.apiserver.schema.SchemaNode.Rule;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Compiles rules and keeps the programs. Everything of CEL that this server supports is declared here and in {@link
 * KubeFunctions}: a rule that uses anything else does not compile.
 */
final class RuleCompiler {
    /** The name of the whole object's schema. */
    static final String ROOT = "object";

    private static final int ITERATIONS_MAX = 1_000_000;
    private static final int MESSAGE_BYTES_MAX = 5 * 1024;

    private final SchemaNode root;
    private final Map<String, CompiledRule> programs = new ConcurrentHashMap<>();
    private final Map<String, CelCompiler> compilers = new HashMap<>();
    private Optional<CelRuntime> runtime = Optional.empty();

    RuleCompiler(SchemaNode root) {
        this.root = root;
    }

    /** What a rule came to. */
    sealed interface Outcome {
        record Holds() implements Outcome {}

        /** @param message from messageExpression; empty where there is none, or it failed */
        record Broken(Optional<String> message) implements Outcome {}

        /** It could not be evaluated. */
        record Failed(String why) implements Outcome {}
    }

    record CompiledRule(
            CelRuntime.Program program,
            Optional<CelRuntime.Program> messageProgram,
            boolean usesOldSelf,
            boolean optionalOldSelf) {
        Outcome evaluate(Object self, Optional<Object> oldSelf) {
            Map<String, Object> variables = new HashMap<>();
            variables.put("self", self);
            if (optionalOldSelf) {
                variables.put("oldSelf", oldSelf);
            } else {
                oldSelf.ifPresent(value -> variables.put("oldSelf", value));
            }
            try {
                if (program.eval(variables) instanceof Boolean holds && holds) return new Outcome.Holds();
                return new Outcome.Broken(messageProgram.flatMap(each -> message(each, variables)));
            } catch (CelEvaluationException e) {
                return new Outcome.Failed(wording(e));
            }
        }

        private static Optional<String> message(CelRuntime.Program program, Map<String, Object> variables) {
            try {
                if (!(program.eval(variables) instanceof String text)) return Optional.empty();
                String message = text.strip();
                boolean fits = !message.isEmpty() && message.length() <= MESSAGE_BYTES_MAX && !message.contains("\n");
                return fits ? Optional.of(message) : Optional.empty();
            } catch (CelEvaluationException _) {
                return Optional.empty();
            }
        }

        /** As cel-go says it, where it says it otherwise than cel-java. */
        private static String wording(CelEvaluationException e) {
            Throwable cause = e;
            while (cause.getCause() != null) cause = cause.getCause();
            String told = String.valueOf(cause.getMessage());
            CelErrorCode code = e.getErrorCode();
            if (code == CelErrorCode.ATTRIBUTE_NOT_FOUND) return "no such key: " + told;
            if (code == CelErrorCode.DIVIDE_BY_ZERO) return "division by zero";
            if (code == CelErrorCode.OVERLOAD_NOT_FOUND) return "no such overload";
            if (code == CelErrorCode.NUMERIC_OVERFLOW) return "integer overflow";
            return told.replaceFirst("^Index out of bounds", "index out of bounds");
        }
    }

    /** @return what does not compile */
    List<FieldError> compileAll(String path) {
        List<FieldError> errors = new ArrayList<>();
        compileAll(root, ROOT, path, true, errors);
        return errors;
    }

    private void compileAll(
            SchemaNode schema, String schemaPath, String path, boolean correlates, List<FieldError> errors) {
        if (!schema.hasRules) return;
        compileHere(schema, schemaPath, schema.rules, schemaPath, path, correlates, errors);
        for (int i = 0; i < schema.allOf.size(); i++) {
            List<Rule> rules = schema.allOf.get(i).rules;
            String below = path + ".allOf[" + i + "]";
            compileHere(schema, schemaPath, rules, schemaPath + ".@allOf" + i, below, correlates, errors);
        }
        schema.properties.forEach((name, property) ->
                compileAll(property, schemaPath + "." + name, path + ".properties[" + name + "]", correlates, errors));
        schema.additional.ifPresent(
                value -> compileAll(value, schemaPath + ".@elem", path + ".additionalProperties", correlates, errors));
        boolean itemsCorrelate = correlates && schema.listType.equals("map");
        schema.items.ifPresent(
                items -> compileAll(items, schemaPath + ".@idx", path + ".items", itemsCorrelate, errors));
    }

    private void compileHere(
            SchemaNode schema,
            String schemaPath,
            List<Rule> rules,
            String rulesPath,
            String path,
            boolean correlates,
            List<FieldError> errors) {
        for (int i = 0; i < rules.size(); i++) {
            Rule rule = rules.get(i);
            String where = path + ".x-kubernetes-validations[" + i + "].";
            if (rule.rule().isEmpty()) {
                errors.add(FieldError.required(where + "rule", "rule is not specified"));
                continue;
            }
            try {
                CompiledRule compiled = compile(schema, schemaPath, rule);
                if (compiled.usesOldSelf() && !correlates) {
                    String detail = "oldSelf cannot be used on the uncorrelatable portion of the schema within " + path;
                    errors.add(FieldError.invalid(where + "rule", rule.rule(), detail));
                }
                programs.put(key(rulesPath, i), compiled);
            } catch (DoesNotCompile e) {
                errors.add(FieldError.invalid(where + "rule", rule.rule(), String.valueOf(e.getMessage())));
            }
        }
    }

    /**
     * The program of one rule, compiled now unless it was before.
     *
     * @throws IllegalStateException where it does not compile: the definition was accepted before, so we know less than
     *     whoever accepted it, and to skip a rule is no answer
     */
    CompiledRule compiled(SchemaNode schema, String schemaPath, Rule rule, String rulesPath, int index) {
        return programs.computeIfAbsent(key(rulesPath, index), _ -> {
            try {
                return compile(schema, schemaPath, rule);
            } catch (DoesNotCompile e) {
                throw new IllegalStateException("compile the rule " + rule.rule() + " of " + schemaPath, e);
            }
        });
    }

    private static String key(String rulesPath, int index) {
        return rulesPath + "#" + index;
    }

    private synchronized CompiledRule compile(SchemaNode schema, String schemaPath, Rule rule) throws DoesNotCompile {
        CelCompiler compiler = compilers.computeIfAbsent(
                schemaPath + (rule.optionalOldSelf() ? "?" : ""),
                _ -> compilerFor(schema, schemaPath, rule.optionalOldSelf()));
        CelAbstractSyntaxTree ast = compile(compiler, rule.rule(), SimpleType.BOOL, "must evaluate to a bool");
        Optional<CelRuntime.Program> message = Optional.empty();
        if (!rule.messageExpression().isEmpty()) {
            String must = "messageExpression must evaluate to a string";
            message = Optional.of(program(compile(compiler, rule.messageExpression(), SimpleType.STRING, must)));
        }
        boolean usesOldSelf = CelNavigableAst.fromAst(ast)
                .getRoot()
                .allNodes()
                .anyMatch(node -> node.getKind() == CelExpr.ExprKind.Kind.IDENT
                        && node.expr().ident().name().equals("oldSelf"));
        return new CompiledRule(program(ast), message, usesOldSelf, rule.optionalOldSelf());
    }

    private static CelAbstractSyntaxTree compile(CelCompiler compiler, String text, CelType type, String must)
            throws DoesNotCompile {
        try {
            CelAbstractSyntaxTree ast = compiler.compile(text).getAst();
            if (!ast.getResultType().equals(type)) throw new DoesNotCompile(must);
            return ast;
        } catch (CelValidationException e) {
            throw new DoesNotCompile("compilation failed: " + e.getMessage(), e);
        }
    }

    private CelRuntime.Program program(CelAbstractSyntaxTree ast) throws DoesNotCompile {
        try {
            return runtime().createProgram(ast);
        } catch (CelEvaluationException e) {
            throw new DoesNotCompile("program instantiation failed: " + e.getMessage(), e);
        }
    }

    private static final class DoesNotCompile extends Exception {
        DoesNotCompile(String message) {
            super(message);
        }

        DoesNotCompile(String message, Throwable cause) {
            super(message, cause);
        }
    }

    private CelCompiler compilerFor(SchemaNode schema, String schemaPath, boolean optionalOldSelf) {
        boolean isResource = schemaPath.equals(ROOT) || schema.embeddedResource;
        CelTypes.Scope scope = CelTypes.of(schema, schemaPath, isResource);
        CelType self = scope.self();
        CelCompilerBuilder builder = CelCompilerFactory.standardCelCompilerBuilder()
                .setOptions(options())
                .setStandardMacros(CelStandardMacro.STANDARD_MACROS)
                .addLibraries(
                        CelExtensions.strings(),
                        CelExtensions.optional(),
                        CelExtensions.bindings(),
                        CelExtensions.comprehensions(),
                        CelExtensions.sets(options()))
                .addFunctionDeclarations(KubeFunctions.declarations())
                .setTypeProvider(scope.provider())
                .addVar("self", self)
                .addVar("oldSelf", optionalOldSelf ? OptionalType.create(self) : self);
        return builder.build();
    }

    private CelRuntime runtime() {
        if (runtime.isEmpty()) {
            runtime = Optional.of(CelRuntimeFactory.plannerRuntimeBuilder()
                    .setOptions(options())
                    .addLibraries(
                            CelExtensions.strings(),
                            CelExtensions.optional(),
                            CelExtensions.comprehensions(),
                            CelExtensions.sets(options()))
                    .addFunctionBindings(KubeFunctions.bindings())
                    .build());
        }
        return runtime.get();
    }

    private static CelOptions options() {
        return CelOptions.current()
                .enableHeterogeneousNumericComparisons(true)
                .comprehensionMaxIterations(ITERATIONS_MAX)
                .build();
    }
}
