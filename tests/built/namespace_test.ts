/**
 * The real sidecars that take minutes to build, each in its own network namespace. In CI they are
 * built while other tests run.
 */

import { BUILT_DAPR, BUILT_ISTIO } from "../../scripts/kubernetes/programs.ts";
import { testInNamespace } from "../support/namespaces.ts";
import { both, ENVOY } from "../support/needs.ts";

const FOLDER = new URL(".", import.meta.url).pathname;

testInNamespace(`${FOLDER}istio.ts`, both(BUILT_ISTIO, ENVOY));
testInNamespace(`${FOLDER}dapr.ts`, BUILT_DAPR);
