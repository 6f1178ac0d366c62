#include "server/http/counters.h"

namespace ursula::http {

void HttpStats::Merge(const CoreCounters& core) {
  connections_accepted += core.connections_accepted.Get();
  connections_open += core.connections_open.Get();
  connections_moved += core.connections_moved.Get();
  accept_failures += core.accept_failures.Get();
  requests += core.requests.Get();
  requests_open += core.requests_open.Get();
  for (std::size_t i = 0; i < responses.size(); ++i) responses[i] += core.responses[i].Get();
  received_bytes += core.received_bytes.Get();
  sent_bytes += core.sent_bytes.Get();
  for (std::size_t i = 0; i < refused.size(); ++i) refused[i] += core.refused[i].Get();
  subscribers_open += core.subscribers_open.Get();
  frames_encoded += core.frames_encoded.Get();
  frames_shared += core.frames_shared.Get();
  page_hits += core.page_hits.Get();
  page_misses += core.page_misses.Get();
  page_evictions += core.page_evictions.Get();
  page_bytes += core.page_bytes.Get();
  request_us.Merge(core.request_us.Get());
  delivery_us.Merge(core.delivery_us.Get());
}

}  // namespace ursula::http
