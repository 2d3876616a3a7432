//go:build tools

package main

// Go keeps the version of what is imported.
import _ "istio.io/istio/pilot/cmd/pilot-agent"
