// Command slipway-aside is what a server starts beside itself in every push: the keeper of an instance,
// and the program inside a sandbox. It is a part of the program slipway (package aside), apart from the
// rest so that it starts fast, embedded there, and put into the data directory when a server starts.
package main

import (
	"os"

	"slipway/cmd/slipway/aside"
)

func main() { os.Exit(aside.Main(os.Args[1:], os.Stderr)) }
