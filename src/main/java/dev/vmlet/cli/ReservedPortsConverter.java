package dev.vmlet.cli;

import dev.vmlet.model.ReservedPorts;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads {@code --reserved-host-ports} for picocli. */
public final class ReservedPortsConverter implements ITypeConverter<ReservedPorts> {
    @Override
    public ReservedPorts convert(String value) {
        try {
            return ReservedPorts.parse(value);
        } catch (IllegalArgumentException e) {
            throw new TypeConversionException(String.valueOf(e.getMessage()));
        }
    }
}
