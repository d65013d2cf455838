package clients

import _ "embed"

// probeClass is CerttrustProbe.java, compiled for Java 8 and later: not every
// Java has a compiler. It is made by
//
//	javac --release 8 -g:none -d . CerttrustProbe.java
//
//go:embed CerttrustProbe.class
var probeClass []byte
