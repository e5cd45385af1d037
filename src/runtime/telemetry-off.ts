/**
 * ONNX Runtime reports usage to its maker and keeps a device id in the user's cache folder unless this is set before its library
 * loads (seen in 1.30 on Linux: $XDG_CACHE_HOME/Microsoft). A server that is handed prompts must not call anyone. Hence work at
 * import time, and this import before the library's own. Who wants the reports sets the variable themselves.
 */
process.env.ORT_DISABLE_TELEMETRY ??= "1";
