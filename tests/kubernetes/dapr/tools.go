//go:build tools

package tools

// Go keeps the version of what is imported.
import _ "github.com/dapr/dapr/cmd/daprd"
