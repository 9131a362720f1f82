module vmlet.dev/chaos

go 1.24
