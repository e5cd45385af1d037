import { expect, it } from "vitest";
import { tenantView } from "../../src/metrics/tenant-view.ts";

it("hides every series that names another tenant or an adapter of one, and nothing else", () => {
  const kept = [
    "# HELP mosara_adapter_requests_total Sequences by adapter.",
    'vllm:num_requests_running{model_name="base"} 3',
    "process_cpu_seconds_total 12.5",
    'mosara_adapter_requests_total{adapter="pirate",finished_reason="stop",tenant="acme"} 3',
    'mosara_tenant_requests_total{tenant="acme",finished_reason="stop"} 3',
  ];
  const hidden = [
    'mosara_adapter_requests_total{adapter="pirate",finished_reason="stop",tenant="acme2"} 3',
    'mosara_adapter_requests_total{adapter="pirate",finished_reason="stop"} 3',
    'mosara_tenant_requests_total{tenant="globex",finished_reason="stop"} 3',
    'vllm:lora_adapter_loaded{adapter_name="x",level="gpu",pinned="false",rank="4",tenant="shared"} 1',
    'vllm:lora_requests_info{max_lora="5",running_lora_adapters="a",waiting_lora_adapters=""} 1',
  ];
  expect(tenantView([...kept, ...hidden, ""].join("\n"), "acme")).toBe([...kept, ""].join("\n"));
});
