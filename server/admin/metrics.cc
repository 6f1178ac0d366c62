#include "server/admin/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace ursula::admin {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr double kSecondsPerMicrosecond = 1e-6;
constexpr std::size_t kGroupSeriesMax = 1024;  // With more groups there are only sums.

class Families {
 public:
  void Gauge(std::string name, std::string help, double value) {
    ClientMetric metric;
    metric.gauge.value = value;
    Family(std::move(name), std::move(help), MetricType::Gauge).metric.push_back(metric);
  }

  void Counter(std::string name, std::string help, uint64_t value) {
    CounterOf(std::move(name), std::move(help), static_cast<double>(value));
  }
  void CounterOf(std::string name, std::string help, double value) {
    ClientMetric metric;
    metric.counter.value = value;
    Family(std::move(name), std::move(help), MetricType::Counter).metric.push_back(metric);
  }

  // One more time series of the family that was added last.
  void Labelled(const std::string& label, std::string_view label_value, uint64_t value) {
    Labelled(label, label_value, MetricType::Counter, static_cast<double>(value));
  }
  void Labelled(const std::string& label, std::string_view label_value, MetricType type,
                double value) {
    ClientMetric metric;
    (type == MetricType::Gauge ? metric.gauge.value : metric.counter.value) = value;
    metric.label = {{label, std::string(label_value)}};
    families_.back().metric.push_back(std::move(metric));
  }

  // From microseconds to seconds.
  void Seconds(std::string name, std::string help, const Histogram& histogram) {
    ClientMetric metric;
    metric.histogram.sample_count = histogram.count;
    metric.histogram.sample_sum = static_cast<double>(histogram.sum) * kSecondsPerMicrosecond;
    uint64_t cumulative = 0;
    for (int i = 0; i + 1 < Histogram::kBuckets; ++i) {
      cumulative += histogram.counts[static_cast<std::size_t>(i)];
      double bound = static_cast<double>(Histogram::Bound(i)) * kSecondsPerMicrosecond;
      metric.histogram.bucket.push_back({cumulative, bound});
    }
    Family(std::move(name), std::move(help), MetricType::Histogram).metric.push_back(metric);
  }

  MetricFamily& Family(std::string name, std::string help, MetricType type) {
    return Common("ursula_" + std::move(name), std::move(help), type);
  }

  // Under a name that is not ours.
  MetricFamily& Common(std::string name, std::string help, MetricType type) {
    families_.push_back({std::move(name), std::move(help), type, {}});
    return families_.back();
  }

  std::string Text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  std::vector<MetricFamily> families_;
};

double Number(uint64_t value) { return static_cast<double>(value); }

void AddEngine(const EngineStats& stats, Families* out) {
  out->Counter("appends_total", "Appends acknowledged.", stats.appends);
  out->Counter("append_bytes_total", "Payload of appends acknowledged.", stats.append_bytes);
  out->Counter("reads_total", "Reads answered.", stats.reads);
  out->Counter("read_bytes_total", "Payload of reads answered.", stats.read_bytes);
  out->Gauge("streams", "Live streams.", Number(stats.streams));
  out->Gauge("read_waiters", "Reads waiting at a tail.", Number(stats.waiters));
  out->Gauge("proposals_pending", "Commands proposed and not yet applied.",
             Number(stats.proposals_pending));
  out->Gauge("inflight_bytes", "Payload of appends proposed and not yet applied.",
             Number(stats.inflight_bytes));
  out->Gauge("inflight_read_bytes", "Stream data read from disk that replies still hold.",
             Number(stats.inflight_read_bytes));
  out->Gauge("hot_bytes", "Stream data in memory.", Number(stats.hot_bytes));
  out->Gauge("clock_ahead_seconds",
             "How far the streams' time is ahead of this node's clock; past 10 it runs slowly.",
             Number(stats.clock_ahead_ms) / 1000);
  out->Counter("snapshots_total", "Snapshots of group state written.", stats.snapshots);
  out->Counter("long_turns_total",
               "Turns of a core that took over 20 ms, in which nothing else of it got on.",
               stats.long_turns);
  out->Seconds("append_seconds", "From an append's call to its completion, on the owning core.",
               stats.append_us);
}

void AddDisk(const EngineStats& stats, Families* out) {
  out->Gauge("wal_bytes", "Write-ahead log files on disk.", Number(stats.wal_bytes));
  out->Gauge("payload_bytes", "Payload segment files on disk.", Number(stats.payload_bytes));
  out->Gauge("snapshot_bytes", "Snapshot files on disk.", Number(stats.snapshot_bytes));
  out->Gauge("disk_bytes", "All of the engine's files on disk.",
             Number(stats.wal_bytes + stats.payload_bytes + stats.snapshot_bytes));
  out->Gauge("disks_hung", "Volumes that don't answer, as each core sees them.",
             Number(stats.disks_hung));
  out->Gauge("disks_full", "Cores that refuse what needs space on a disk.",
             Number(stats.disks_full));
  out->Counter("wal_written_bytes_total", "Written to the write-ahead log, padding included.",
               stats.wal_written_bytes);
  out->Counter("wal_record_bytes_total", "Records of the write-ahead log, before padding.",
               stats.wal_record_bytes);
  double amplification = stats.wal_record_bytes == 0
                             ? 1.0
                             : Number(stats.wal_written_bytes) / Number(stats.wal_record_bytes);
  out->Gauge("wal_padding_amplification", "Bytes written for each byte of record, since start.",
             amplification);
  out->Counter("wal_batches_total", "Batches written to the write-ahead log.", stats.wal_batches);
  out->Counter("wal_syncs_total", "Syncs of the write-ahead log.", stats.wal_syncs);
  out->Counter("payload_written_bytes_total", "Written to payload segments.",
               stats.payload_written_bytes);
  out->Gauge("payload_index_bytes", "Memory that says where stream data is on disk.",
             Number(stats.payload_index_bytes));
  out->Gauge("payload_lost_bytes", "Stream data found damaged or missing, and nobody has it.",
             Number(stats.payload_lost_bytes));
  out->Counter("payload_damaged_bytes_total",
               "Stream data found damaged or missing on this node's disk.",
               stats.payload_damaged_bytes);
  out->Counter("payload_repaired_bytes_total", "Of that, written anew from what another node had.",
               stats.payload_repaired_bytes);
  out->Gauge("payload_lacking_bytes",
             "Stream data that is on other nodes' disks alone, and on its way here.",
             Number(stats.payload_lacking_bytes));
  out->Counter("files_damaged_total",
               "Files of the write-ahead log and snapshots found damaged while running.",
               stats.files_damaged);
  out->Counter("rejoin_bytes_total",
               "Fetched for replicas here that lack something, or sent to others that are behind.",
               stats.rejoin_bytes);
  out->CounterOf("rejoin_waited_seconds_total",
                 "Time in which something of that waited for --rejoin-bytes-per-second.",
                 static_cast<double>(stats.rejoin_waited_us) / 1e6);
  out->Counter("scrubbed_bytes_total", "Read again and checked in the background.",
               stats.scrubbed_bytes);
  out->Counter("scrub_rounds_total", "Rounds of that over all files of a core.",
               stats.scrub_rounds);
  out->Seconds("wal_sync_seconds", "One batch of the write-ahead log: write and sync.",
               stats.sync_us);
}

// What all groups are looked at by. What is to be compared between nodes is of each group: of a sum
// one can't see which is behind.
// Of a server that is alone, too.
void AddLevels(const ClusterStatus& cluster, Families* out) {
  if (cluster.feature_level == 0) return;  // It recovers.
  out->Gauge("feature_level", "The feature level in force, as this node knows.",
             cluster.feature_level);
  out->Gauge("feature_level_max", "The highest feature level that this node can.",
             cluster.feature_level_max);
}

// Of the groups that this node leads: each group is counted once in the cluster.
void AddReplicas(const ClusterStatus& cluster, Families* out) {
  const ReplicaCounts counts = CountReplicas(cluster);
  out->Gauge("groups_under_replicated",
             "Groups led here that lack a voter, or the use of one's replica.",
             Number(counts.groups));
  out->Family("replicas_unusable",
              "Replicas that groups led here lack, or can't count on, by reason.",
              MetricType::Gauge);
  out->Labelled("reason", "missing", MetricType::Gauge, Number(counts.missing));
  for (ReplicaTrouble::Kind kind : kTroubleKinds) {
    out->Labelled("reason", NameOf(kind), MetricType::Gauge,
                  Number(counts.troubles[static_cast<std::size_t>(kind)]));
  }
}

void AddGroups(const ClusterStatus& cluster, Families* out) {
  if (cluster.groups.empty()) return;  // It recovers: a sum of nothing would look like a fall.
  out->Gauge("groups", "Groups that streams are spread over.", Number(cluster.groups.size()));
  uint64_t terms = 0;
  for (const GroupStatus& group : cluster.groups) terms += group.term;
  out->Counter("terms_total",
               "Terms of all groups together: one more with each election, won or not, and with "
               "each hand-over.",
               terms);
  AddReplicas(cluster, out);
  if (cluster.groups.size() > kGroupSeriesMax) return;
  auto each = [&](const char* name, const char* help, auto value) {
    out->Family(name, help, MetricType::Gauge);
    for (const GroupStatus& group : cluster.groups) {
      const std::string number = std::to_string(static_cast<uint32_t>(group.group));
      out->Labelled("group", number, MetricType::Gauge, static_cast<double>(value(group)));
    }
  };
  each("group_leader", "The node that leads the group, as this one knows; 0: none.",
       [](const GroupStatus& group) { return static_cast<uint64_t>(group.leader); });
  each("group_term", "The group's term.", [](const GroupStatus& group) { return group.term; });
  each("group_applied_index", "The last entry of the group that is applied at this node.",
       [](const GroupStatus& group) { return group.applied; });
}

void AddMembers(const ClusterStatus& cluster, Families* out) {
  if (cluster.members.empty()) return;  // It recovers.
  out->Family("members", "Nodes of the cluster, as this one knows, by stage.", MetricType::Gauge);
  using Stage = MemberStatus::Stage;
  for (Stage stage : {Stage::kMember, Stage::kJoining, Stage::kLeaving, Stage::kInvited}) {
    const auto count = std::ranges::count(cluster.members, stage, &MemberStatus::stage);
    out->Labelled("stage", NameOf(stage), MetricType::Gauge, static_cast<double>(count));
  }
  out->Gauge(
      "members_cordoned", "Nodes of the cluster that are to lead nothing.",
      static_cast<double>(std::ranges::count(cluster.members, true, &MemberStatus::cordoned)));
}

void AddAside(const ClusterStatus& cluster, Families* out) {
  if (cluster.groups.empty()) return;  // It recovers.
  out->Gauge("directory_aside", "A rotten directory of this node is kept beside the one in use.",
             cluster.aside.empty() ? 0 : 1);
  out->Gauge("rejoins", "The node, whose directory was rotten, is being taken in again.",
             cluster.rejoins ? 1 : 0);
}

void AddLeads(const EngineStats& engine, Families* out) {
  out->Gauge("groups_led", "Groups that this node leads.", Number(engine.groups_led));
  out->Counter(
      "leads_given_up_total",
      "Hand-overs begun because the node is to lead nothing: its disk hangs, is full or is "
      "slow beside others', or an operator says so.",
      engine.leads_given_up);
  out->Gauge("groups_leaderless", "Groups of which this node knows no leader.",
             Number(engine.groups_leaderless));
}

// Of a node of a cluster.
void AddCluster(const MetricsInput& input, Families* out) {
  if (input.peers.empty()) return;
  AddGroups(input.cluster, out);
  AddMembers(input.cluster, out);
  AddAside(input.cluster, out);
  const EngineStats& engine = input.engine;
  AddLeads(engine, out);
  out->Counter("forwarded_calls_total", "Calls sent on to a group's leader on another node.",
               engine.forwarded_calls);
  out->Counter("elections_won_total", "How often a replica of this node became its group's leader.",
               engine.elections_won);
  out->Counter("handed_over_total", "Of those: the leader before had asked it to lead, as planned.",
               engine.handed_over);
  out->Counter("read_rounds_total", "Rounds of ReadIndex; one serves all reads that wait for it.",
               engine.read_rounds);
  out->Counter("entries_applied_total", "Entries of all groups' logs, applied here.",
               engine.entries_applied);
  out->Counter("peer_sent_entries_total", "Entries of logs, sent to other nodes.",
               engine.peer_sent_entries);
  out->Counter("local_reads_total", "Reads that might be a little old, by group asked.",
               engine.local_reads);
  out->Counter("local_reads_waited_total",
               "Of those: the group's leader was asked, for what was here was too old.",
               engine.local_reads_waited);
  out->Counter("local_reads_behind_total", "Of those: nobody could say how old it was.",
               engine.local_reads_behind);
  out->Counter("peer_frames_total", "Frames for other nodes.", engine.peer_sent_frames);
  out->Counter("peer_frame_bytes_total", "Bytes of frames for other nodes.",
               engine.peer_sent_bytes);
  out->Counter("peer_dropped_letters_total",
               "Messages for other nodes that were not sent: no connection, or too many waiting.",
               engine.peer_dropped_letters);
  out->Family("peer_connected", "1 while the peer, a member, can be sent to and can send.",
              MetricType::Gauge);
  for (const PeerState& peer : PeersExpected(input.peers, input.cluster)) {
    out->Labelled("peer", std::to_string(static_cast<uint64_t>(peer.node)), MetricType::Gauge,
                  peer.connected && peer.connected_from ? 1 : 0);
  }
  auto each = [&](const char* name, const char* help, MetricType type, auto value) {
    out->Family(name, help, type);
    for (const PeerState& peer : input.peers) {
      const std::string node = std::to_string(static_cast<uint64_t>(peer.node));
      out->Labelled("peer", node, type, static_cast<double>(value(peer)));
    }
  };
  const MetricType counter = MetricType::Counter, gauge = MetricType::Gauge;
  each("peer_round_trip_seconds", "To the peer and back, when it connected.", gauge,
       [](const PeerState& peer) {
         return static_cast<double>(peer.round_trip_us) * kSecondsPerMicrosecond;
       });
  each("peer_clock_offset_seconds", "The peer's wall clock less this node's, when it connected.",
       gauge,
       [](const PeerState& peer) { return static_cast<double>(peer.clock_offset_ms) / 1000; });
  each("peer_connects_total", "Connections made to the peer.", counter,
       [](const PeerState& peer) { return peer.connects; });
  each("peer_sent_frames_total", "Frames sent to the peer.", counter,
       [](const PeerState& peer) { return peer.sent_frames; });
  each("peer_sent_bytes_total", "Bytes sent to the peer.", counter,
       [](const PeerState& peer) { return peer.sent_bytes; });
  each("peer_received_frames_total", "Frames that came from the peer.", counter,
       [](const PeerState& peer) { return peer.received_frames; });
  each("peer_received_bytes_total", "Bytes that came from the peer.", counter,
       [](const PeerState& peer) { return peer.received_bytes; });
  each("peer_window_stalls_total", "Frames that waited because the peer's window was full.",
       counter, [](const PeerState& peer) { return peer.window_stalls; });
  each("peer_bad_messages_total", "Messages of the peer that were none, and closed a stream.",
       counter, [](const PeerState& peer) { return peer.bad_messages; });
}

void AddHttp(const http::HttpStats& stats, Families* out) {
  out->Counter("http_connections_total", "Connections accepted.", stats.connections_accepted);
  out->Counter("http_connections_moved_total",
               "Connections that have moved to the core of the streams they ask for.",
               stats.connections_moved);
  out->Gauge("http_connections", "Connections open.", Number(stats.connections_open));
  out->Counter("http_accept_failures_total", "Connections that could not be accepted.",
               stats.accept_failures);
  out->Counter("http_requests_total", "Requests begun.", stats.requests);
  out->Gauge("http_requests_open", "Requests under way, live readers included.",
             Number(stats.requests_open));
  out->Gauge("http_body_bytes", "Request bodies in memory.", Number(stats.body_bytes));
  out->Counter("http_received_bytes_total", "Bytes received.", stats.received_bytes);
  out->Counter("http_sent_bytes_total", "Bytes sent.", stats.sent_bytes);
  out->Family("http_responses_total", "Responses by class of status.", MetricType::Counter);
  for (std::size_t i = 2; i < stats.responses.size(); ++i) {
    out->Labelled("class", std::to_string(i) + "xx", stats.responses[i]);
  }
  out->Seconds("http_request_seconds",
               "From a whole request to its whole answer, live reads aside.", stats.request_us);
  out->Gauge("sse_subscribers", "Live SSE readers.", Number(stats.subscribers_open));
  out->Counter("sse_frames_encoded_total", "SSE frames encoded.", stats.frames_encoded);
  out->Counter("sse_frames_shared_total", "SSE frames sent that were encoded for another reader.",
               stats.frames_shared);
  out->Counter("kept_pages_hits_total", "Pages of reads that were made for another reader.",
               stats.page_hits);
  out->Counter("kept_pages_misses_total", "Pages of reads that were made.", stats.page_misses);
  out->Counter("kept_pages_evictions_total", "Pages that made room for others.",
               stats.page_evictions);
  out->Gauge("kept_pages_bytes", "Encoded pages kept in memory.", Number(stats.page_bytes));
  out->Seconds("sse_delivery_seconds",
               "From new data reaching a live reader's core to its hand-over to the kernel.",
               stats.delivery_us);
}

void AddProcess(const ProcessStats& stats, Families* out) {
  auto gauge = [out](const char* name, const char* help, double value) {
    ClientMetric metric;
    metric.gauge.value = value;
    out->Common(name, help, MetricType::Gauge).metric.push_back(metric);
  };
  ClientMetric cpu;
  cpu.counter.value = stats.cpu_seconds;
  out->Common("process_cpu_seconds_total", "CPU time, user and system.", MetricType::Counter)
      .metric.push_back(cpu);
  gauge("process_resident_memory_bytes", "Resident memory.", Number(stats.resident_bytes));
  gauge("process_virtual_memory_bytes", "Address space.", Number(stats.virtual_bytes));
  gauge("process_start_time_seconds", "When it started, in Unix time.", stats.start_seconds);
  gauge("process_max_fds", "Descriptors allowed.", Number(stats.descriptors_max));
  if (stats.descriptors) gauge("process_open_fds", "Descriptors.", Number(*stats.descriptors));
}

void AddRefusals(const EngineStats& engine, const http::HttpStats& http, Families* out) {
  out->Family("refused_total", "Requests and connections refused, by reason.", MetricType::Counter);
  for (std::size_t i = 0; i < http.refused.size(); ++i) {
    out->Labelled("reason", http::kRefusalNames[i], http.refused[i]);
  }
  out->Labelled("reason", "inflight_bytes", engine.refused_inflight);
  out->Labelled("reason", "disk_full", engine.refused_disk_full);
  out->Labelled("reason", "read_waiters", engine.refused_waiters);
  out->Labelled("reason", "read_bytes", engine.refused_reads);
}

}  // namespace

std::string MetricsText(const MetricsInput& input) {
  Families families;
  families.Gauge("ready", "1 while the server can commit and is not stopping.",
                 input.ready ? 1 : 0);
  ClientMetric build;
  build.gauge.value = 1;
  build.label = {{"version", input.version}};
  families.Family("build_info", "The running version.", MetricType::Gauge).metric.push_back(build);
  AddEngine(input.engine, &families);
  AddDisk(input.engine, &families);
  AddLevels(input.cluster, &families);
  AddCluster(input, &families);
  AddHttp(input.http, &families);
  AddRefusals(input.engine, input.http, &families);
  AddProcess(input.process, &families);
  return families.Text();
}

}  // namespace ursula::admin
