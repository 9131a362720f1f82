package dev.vmlet.host.net;

import jnr.ffi.Pointer;

/**
 * The functions of libnftables.so.1 we call (libnftables(3)). Public because jnr-ffi binds public interfaces only;
 * nothing outside the package may use it.
 */
public interface LibNftables {
    Pointer nft_ctx_new(int flags);

    void nft_ctx_free(Pointer context);

    int nft_ctx_buffer_output(Pointer context);

    int nft_ctx_buffer_error(Pointer context);

    void nft_ctx_output_set_flags(Pointer context, int flags);

    void nft_ctx_set_dry_run(Pointer context, boolean dry);

    String nft_ctx_get_output_buffer(Pointer context);

    String nft_ctx_get_error_buffer(Pointer context);

    int nft_run_cmd_from_buffer(Pointer context, String commands);
}
