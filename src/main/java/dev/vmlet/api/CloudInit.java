package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What cloud-init in a guest receives. */
@ApiObject
@ValidationRule(
        value = "!(has(self.userData) && has(self.userDataSecretRef))",
        message = "give either userData or userDataSecretRef")
public record CloudInit(
        @JsonPropertyDescription("Public keys that may log in as the image's default user, each one line as in"
                + " ~/.ssh/id_ed25519.pub. They are added to what the user data says. At most 32.")
        @Size(max = 32)
        @ValidationRule(
                value = "self.all(key, key.matches(r'^([ -~]+ )?[-a-z0-9@.]+ AAAA[0-9A-Za-z+/]+=*( [^[:cntrl:]]*)?$'))",
                message = "every one of sshAuthorizedKeys must be one line with a public key, such as"
                        + " 'ssh-ed25519 AAAA… me@home'")
        @Nullable
        List<@Size(min = 1, max = 8192) String> sshAuthorizedKeys,

        @JsonPropertyDescription(
                "User data for cloud-init: a #cloud-config document or a script, at most 65536 characters."
                        + " Everyone who may read this object reads it: put secrets into userDataSecretRef.")
        @Size(max = 65536)
        @Nullable
        String userData,

        @JsonPropertyDescription("A Secret in the same namespace that holds the user data. Not together with userData.")
        @Nullable
        SecretKey userDataSecretRef) {

    /** Keeps user data, which often holds passwords, out of logs and error messages. */
    @Override
    public String toString() {
        return "CloudInit[sshAuthorizedKeys=" + sshAuthorizedKeys + ", userData="
                + (userData == null ? "none" : userData.length() + " characters") + ", userDataSecretRef="
                + userDataSecretRef + "]";
    }

    /** A key of a Secret. */
    @ApiObject
    public record SecretKey(
            @JsonPropertyDescription("Name of the Secret.") @Required @Size(min = 1, max = 253) @Nullable
            String name,

            @JsonPropertyDescription("Key within the Secret whose value is the user data. Default userData.")
            @Default("userData")
            @Size(min = 1, max = 253)
            @Nullable
            String key) {}
}
