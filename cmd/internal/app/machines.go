package app

import (
	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
)

// chosenMachine is a machine that a command looks at, with the stores that are
// selected.
type chosenMachine struct {
	host  *host.Host
	found []platform.Found
}

// chosenMachines returns this machine, or those in the offline roots.
func (a *App) chosenMachines(c *cli.Context) ([]chosenMachine, error) {
	h, err := a.machine(c)
	if err != nil {
		return nil, err
	}
	found, err := a.stores(c)
	if err != nil {
		return nil, err
	}
	return []chosenMachine{{h, found}}, nil
}
