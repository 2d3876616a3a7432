/**
 * Runs a job's command, and tells the sidecars of its pod to quit when it has ended.
 *
 * @example Run a command, then stop Istio's sidecar
 * ```ts
 * import { istio, run } from "@k8s-job/wrapper";
 *
 * const result = await run(["true"], { hooks: [istio()] });
 * console.log(result.exitCode);
 * ```
 *
 * @module
 */

export { alloydbAuthProxy } from "./hooks/alloydb_auth_proxy.ts";
export { auto } from "./hooks/auto.ts";
export { cloudSqlProxy } from "./hooks/cloud_sql_proxy.ts";
export { consulDataplane } from "./hooks/consul_dataplane.ts";
export { dapr, type DaprOptions } from "./hooks/dapr.ts";
export { envoy } from "./hooks/envoy.ts";
export { fileHook, type FileHookOptions } from "./hooks/file.ts";
export { getPage, httpHook, type HttpHookOptions } from "./hooks/http.ts";
export { istio } from "./hooks/istio.ts";
export { kuma } from "./hooks/kuma.ts";
export { linkerd } from "./hooks/linkerd.ts";
export {
  type HttpPreset,
  httpPreset,
  type NamedHook,
  nameHook,
  type PresetOptions,
  type ReadyPath,
  type Recognize,
} from "./hooks/preset.ts";
export {
  fileReady,
  httpReady,
  processReady,
  type ReadyName,
  tcpReady,
  unixReady,
} from "./hooks/ready.ts";
export { parseHook, parseWaitFor, PRESETS } from "./hooks/registry.ts";
export { signalHook, type SignalHookOptions } from "./hooks/signal.ts";
export { vaultAgent } from "./hooks/vault_agent.ts";
export { waitProblems } from "./src/job/awaited.ts";
export { type Check, checkAll, type CheckOptions } from "./src/job/check.ts";
export { formatDuration, LONGEST_MS, parseDuration } from "./src/time.ts";
export {
  type ArmedStop,
  type Awaitable,
  type Condition,
  type Hook,
  type HookContext,
  type HookGroup,
  hookProblems,
  isHook,
  type JobSummary,
  type Obstacle,
  type Probe,
  type SidecarHook,
  type Stop,
} from "./src/hook.ts";
export type { ExchangeOptions, HttpRequest, StopFailure } from "./src/http/exchange.ts";
export type { Get, HarmlessMethod, Page } from "./src/http/page.ts";
export {
  createLogger,
  type LogEntry,
  type LogFormat,
  type Logger,
  type LoggerOptions,
  silentLogger,
} from "./src/log/log.ts";
export { main, type MainOptions } from "./src/cli/main.ts";
export type { LogLevel } from "./src/log/messages.ts";
export {
  EnvFileError,
  type LateSidecar,
  NotReadyError,
  PodError,
  StartError,
} from "./src/job/errors.ts";
export type {
  HookOptions,
  OnLeftovers,
  OnWaitTimeout,
  RunHooksOn,
  RunOptions,
  StopSidecarsOptions,
} from "./src/job/options.ts";
export type { HookOutcome, RunResult } from "./src/job/result.ts";
export { refuse, run, stopSidecars } from "./src/job/run.ts";
export { DEFAULT_TARGETS } from "./src/options.ts";
export { VERSION } from "./src/cli/version.ts";
export { type WaitOptions, waitUntilReady } from "./src/job/wait.ts";
export { type SignalName, type SignalRewrites, SIGNALS } from "./src/platform/signals.ts";
