package dev.vmlet.cli;

import dev.vmlet.host.console.ConsoleVisit;
import dev.vmlet.host.console.Frame;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/** A person at a guest's console: keys in, screen out, until one side leaves. */
final class ConsoleSession {
    private final ConsoleVisit visit;
    private final EscapeKey escape;
    private final Consumer<String> say;
    private final AtomicBoolean left = new AtomicBoolean();

    /** @param say shows a sentence that is not the guest's */
    ConsoleSession(ConsoleVisit visit, EscapeKey escape, Consumer<String> say) {
        this.visit = visit;
        this.escape = escape;
        this.say = say;
    }

    /** Who ended it. */
    enum End {
        LEFT,
        SENT_AWAY
    }

    /** Keys are read on a daemon thread of their own; their end only ends the typing. */
    End run(InputStream keys, OutputStream screen) throws IOException {
        Thread.ofPlatform().daemon().name("console-keys").start(() -> type(keys));
        while (true) {
            Optional<Frame> frame;
            try {
                frame = visit.read();
            } catch (IOException e) {
                frame = Optional.empty();
            }
            if (left.get()) {
                return End.LEFT;
            }
            if (frame.isEmpty()) {
                say.accept(ConsoleVisit.AGENT_ENDED);
                return End.SENT_AWAY;
            }
            switch (frame.get().kind()) {
                case OUTPUT -> {
                    screen.write(frame.get().bytes());
                    screen.flush();
                }
                case NOTE -> say.accept(frame.get().text());
                case END -> {
                    say.accept(frame.get().text());
                    return End.SENT_AWAY;
                }
                case JOIN, INPUT -> throw new IOException("the agent speaks another language than this command");
            }
        }
    }

    private void type(InputStream keys) {
        byte[] buffer = new byte[1024];
        try {
            for (int count = keys.read(buffer); count >= 0; count = keys.read(buffer)) {
                int end = 0;
                while (end < count && !escape.is(buffer[end])) {
                    end++;
                }
                if (end > 0) {
                    visit.type(buffer, end);
                }
                if (end < count) {
                    left.set(true);
                    visit.close();
                    return;
                }
            }
        } catch (IOException e) {
            // The other thread reads the end of the line, and says so.
        }
    }
}
