package main

import (
	"os"
	"reflect"
)

// peak returns the most memory that a process has held, in KiB as Linux tells
// it, 0 where the system does not.
func peak(s *os.ProcessState) int64 {
	usage := reflect.Indirect(reflect.ValueOf(s.SysUsage()))
	if usage.Kind() != reflect.Struct {
		return 0
	}
	if f := usage.FieldByName("Maxrss"); f.IsValid() && f.CanInt() {
		return f.Int()
	}
	return 0
}
