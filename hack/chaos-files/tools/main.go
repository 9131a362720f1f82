// What hack/chaos needs beside its driver: an API proxy that misbehaves on demand, and a sender that counts lost packets.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "proxy":
			proxy(os.Args[2:])
			return
		case "witness":
			witness(os.Args[2:])
			return
		}
	}
	fmt.Fprintln(os.Stderr, "usage: tools proxy ... | tools witness ...")
	os.Exit(2)
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "chaos tools: %s: %v\n", what, err)
	os.Exit(1)
}
