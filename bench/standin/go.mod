module dev.vmlet/bench/standin

go 1.22
