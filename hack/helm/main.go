//go:build tools

// Package tools names the program that hack/helm/install builds, so that go.mod
// and go.sum pin it and everything it needs.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
