//go:build !windows

package host

func readRegistry(string) (values map[string]string, subkeys []string) { return nil, nil }
