#!/bin/bash
BUNDLE=/etc/pki/tls/certs/ca-bundle.crt
