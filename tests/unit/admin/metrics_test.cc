#include "server/admin/metrics.h"

#include <gtest/gtest.h>

#include <string>

namespace ursula::admin {
namespace {

bool HasLine(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(MetricsTest, CountersAndGaugesStandUnderTheirNames) {
  MetricsInput input;
  input.ready = true;
  input.version = "1.2.3";
  input.engine.appends = 7;
  input.engine.wal_bytes = 4096;
  input.engine.payload_bytes = 1000;
  input.engine.snapshot_bytes = 30;
  input.http.connections_open = 3;
  input.http.refused[static_cast<std::size_t>(http::Refusal::kTimeout)] = 2;
  input.engine.refused_disk_full = 5;
  input.engine.long_turns = 4;
  std::string text = MetricsText(input);
  EXPECT_TRUE(HasLine(text, "ursula_ready 1"));
  EXPECT_TRUE(HasLine(text, "ursula_build_info{version=\"1.2.3\"} 1"));
  EXPECT_TRUE(HasLine(text, "ursula_appends_total 7"));
  EXPECT_TRUE(HasLine(text, "ursula_disk_bytes 5126"));
  EXPECT_TRUE(HasLine(text, "ursula_http_connections 3"));
  EXPECT_TRUE(HasLine(text, "ursula_long_turns_total 4"));
  EXPECT_TRUE(HasLine(text, "ursula_refused_total{reason=\"timeout\"} 2"));
  EXPECT_TRUE(HasLine(text, "ursula_refused_total{reason=\"disk_full\"} 5"));
}

TEST(MetricsTest, PeersAreTimeSeriesOfTheirOwn) {
  MetricsInput input;
  EXPECT_EQ(MetricsText(input).find("ursula_groups"), std::string::npos);
  input.engine.groups_led = 3;
  input.engine.groups_leaderless = 1;
  input.engine.local_reads = 70;
  input.engine.elections_won = 11;
  input.engine.handed_over = 9;
  input.engine.read_rounds = 12;
  input.engine.entries_applied = 13;
  input.engine.peer_sent_entries = 14;
  input.engine.local_reads_waited = 6;
  input.engine.local_reads_behind = 5;
  input.peers.resize(2);
  input.peers[0] = {.node = NodeId{2}, .connected = true, .connected_from = true};
  input.peers[0].sent_bytes = 10;
  input.peers[0].clock_offset_ms = -1500;
  input.peers[1] = {.node = NodeId{3}, .connected = true};
  std::string text = MetricsText(input);
  EXPECT_TRUE(HasLine(text, "ursula_groups_led 3"));
  EXPECT_TRUE(HasLine(text, "ursula_groups_leaderless 1"));
  EXPECT_TRUE(HasLine(text, "ursula_local_reads_total 70"));
  EXPECT_TRUE(HasLine(text, "ursula_elections_won_total 11"));
  EXPECT_TRUE(HasLine(text, "ursula_handed_over_total 9"));
  EXPECT_TRUE(HasLine(text, "ursula_read_rounds_total 12"));
  EXPECT_TRUE(HasLine(text, "ursula_entries_applied_total 13"));
  EXPECT_TRUE(HasLine(text, "ursula_peer_sent_entries_total 14"));
  EXPECT_TRUE(HasLine(text, "ursula_local_reads_waited_total 6"));
  EXPECT_TRUE(HasLine(text, "ursula_local_reads_behind_total 5"));
  EXPECT_TRUE(HasLine(text, "ursula_peer_connected{peer=\"2\"} 1"));
  EXPECT_TRUE(HasLine(text, "ursula_peer_connected{peer=\"3\"} 0"));
  EXPECT_TRUE(HasLine(text, "ursula_peer_sent_bytes_total{peer=\"2\"} 10"));
  EXPECT_TRUE(HasLine(text, "ursula_peer_clock_offset_seconds{peer=\"2\"} -1.5"));
}

TEST(MetricsTest, GroupsAreTimeSeriesOfTheirOwnUntilTheyAreVeryMany) {
  MetricsInput input;
  input.peers.resize(1);
  EXPECT_EQ(MetricsText(input).find("ursula_terms_total"), std::string::npos) << "it recovers";
  input.cluster.groups = {{GroupId{0}, NodeId{2}, 3, 17}, {GroupId{1}, NodeId{0}, 4, 0}};
  std::string text = MetricsText(input);
  EXPECT_TRUE(HasLine(text, "ursula_groups 2"));
  EXPECT_TRUE(HasLine(text, "ursula_terms_total 7"));
  EXPECT_TRUE(HasLine(text, "ursula_group_leader{group=\"0\"} 2"));
  EXPECT_TRUE(HasLine(text, "ursula_group_leader{group=\"1\"} 0"));
  EXPECT_TRUE(HasLine(text, "ursula_group_term{group=\"1\"} 4"));
  EXPECT_TRUE(HasLine(text, "ursula_group_applied_index{group=\"0\"} 17"));
  input.cluster.groups.resize(1025);
  text = MetricsText(input);
  EXPECT_TRUE(HasLine(text, "ursula_groups 1025"));
  EXPECT_EQ(text.find("ursula_group_applied_index"), std::string::npos);
}

TEST(MetricsTest, ReplicasThatAreMissedAreCountedByTheirGroupsLeader) {
  MetricsInput input;
  input.peers.resize(2);
  EXPECT_EQ(MetricsText(input).find("ursula_groups_under"), std::string::npos) << "it recovers";
  using Kind = ReplicaTrouble::Kind;
  input.cluster.members = {{NodeId{1}}, {NodeId{2}}, {NodeId{3}}};
  input.cluster.groups.resize(4);
  input.cluster.groups[0].voters = 3;
  input.cluster.groups[1].voters = 2;
  input.cluster.groups[1].troubles = {{NodeId{2}, Kind::kAway}, {NodeId{3}, Kind::kNotWhole}};
  input.cluster.groups[2].voters = 1;
  const std::string text = MetricsText(input);
  EXPECT_TRUE(HasLine(text, "ursula_groups_under_replicated 2"));
  EXPECT_TRUE(HasLine(text, "ursula_replicas_unusable{reason=\"missing\"} 3"));
  EXPECT_TRUE(HasLine(text, "ursula_replicas_unusable{reason=\"away\"} 1"));
  EXPECT_TRUE(HasLine(text, "ursula_replicas_unusable{reason=\"behind\"} 0"));
  EXPECT_TRUE(HasLine(text, "ursula_replicas_unusable{reason=\"not_whole\"} 1"));
}

TEST(MetricsTest, MembersAreCountedByStage) {
  MetricsInput input;
  input.peers.resize(2);
  input.peers[0] = {.node = NodeId{2}, .connected = true, .connected_from = true};
  input.peers[1] = {.node = NodeId{3}};
  EXPECT_EQ(MetricsText(input).find("ursula_members"), std::string::npos) << "it recovers";
  EXPECT_TRUE(HasLine(MetricsText(input), "ursula_peer_connected{peer=\"3\"} 0"));
  using Stage = MemberStatus::Stage;
  input.cluster.members = {{NodeId{1}},
                           {NodeId{2}, Stage::kMember, true},
                           {NodeId{4}, Stage::kInvited},
                           {NodeId{5}, Stage::kLeaving}};
  const std::string text = MetricsText(input);
  EXPECT_TRUE(HasLine(text, "ursula_members{stage=\"member\"} 2"));
  EXPECT_TRUE(HasLine(text, "ursula_members{stage=\"joining\"} 0"));
  EXPECT_TRUE(HasLine(text, "ursula_members{stage=\"invited\"} 1"));
  EXPECT_TRUE(HasLine(text, "ursula_members{stage=\"leaving\"} 1"));
  EXPECT_TRUE(HasLine(text, "ursula_members_cordoned 1"));
  EXPECT_EQ(text.find("ursula_directory_aside"), std::string::npos) << "it recovers";
  input.cluster.groups.resize(1);
  EXPECT_TRUE(HasLine(MetricsText(input), "ursula_directory_aside 0"));
  input.cluster.aside = "/data/aside";
  EXPECT_TRUE(HasLine(MetricsText(input), "ursula_directory_aside 1"));
  EXPECT_TRUE(HasLine(MetricsText(input), "ursula_rejoins 0"));
  input.cluster.rejoins = true;
  EXPECT_TRUE(HasLine(MetricsText(input), "ursula_rejoins 1"));
  EXPECT_TRUE(HasLine(text, "ursula_peer_connected{peer=\"2\"} 1"));
  EXPECT_EQ(text.find("ursula_peer_connected{peer=\"3\"}"), std::string::npos) << "no member";
}

TEST(MetricsTest, TheProcessIsToldUnderTheNamesThatAllExportersUse) {
  MetricsInput input;
  ASSERT_TRUE(ParseStatm("5 3 2 1 0 4 0\n", 4096, &input.process));
  input.process.cpu_seconds = 1.5;
  input.process.start_seconds = 1000;
  input.process.descriptors_max = 1024;
  std::string text = MetricsText(input);
  EXPECT_TRUE(HasLine(text, "process_resident_memory_bytes 12288"));
  EXPECT_TRUE(HasLine(text, "process_virtual_memory_bytes 20480"));
  EXPECT_TRUE(HasLine(text, "process_cpu_seconds_total 1.5"));
  EXPECT_TRUE(HasLine(text, "process_start_time_seconds 1000"));
  EXPECT_TRUE(HasLine(text, "process_max_fds 1024"));
  EXPECT_EQ(text.find("process_open_fds"), std::string::npos);
  input.process.descriptors = 7;
  EXPECT_TRUE(HasLine(MetricsText(input), "process_open_fds 7"));
  for (const char* bad : {"", "5", "5 ", "x 1", "5\n3"}) {
    EXPECT_FALSE(ParseStatm(bad, 4096, &input.process)) << bad;
  }
}

TEST(MetricsTest, ThisProcessHasMemoryAndTime) {
  ProcessStats stats = ReadProcessStats(1);
  EXPECT_GT(stats.resident_bytes, 1u << 20);
  EXPECT_GE(stats.virtual_bytes, stats.resident_bytes);
  EXPECT_GT(stats.cpu_seconds, 0);
  EXPECT_GT(stats.descriptors_max, 0u);
}

TEST(MetricsTest, AmplificationIsWrittenOverRecordBytes) {
  MetricsInput input;
  EXPECT_TRUE(HasLine(MetricsText(input), "ursula_wal_padding_amplification 1"));
  input.engine.wal_written_bytes = 4096;
  input.engine.wal_record_bytes = 1024;
  EXPECT_TRUE(HasLine(MetricsText(input), "ursula_wal_padding_amplification 4"));
}

TEST(MetricsTest, ADiskThatHangsOrIsFullIsTold) {
  MetricsInput input;
  EXPECT_TRUE(HasLine(MetricsText(input), "ursula_disks_hung 0"));
  EXPECT_TRUE(HasLine(MetricsText(input), "ursula_disks_full 0"));
  input.engine.disks_hung = 2;
  input.engine.disks_full = 3;
  input.engine.leads_given_up = 4;
  input.peers.resize(1);
  const std::string text = MetricsText(input);
  EXPECT_TRUE(HasLine(text, "ursula_disks_hung 2"));
  EXPECT_TRUE(HasLine(text, "ursula_disks_full 3"));
  EXPECT_TRUE(HasLine(text, "ursula_leads_given_up_total 4"));
}

TEST(MetricsTest, HistogramsAreCumulativeAndInSeconds) {
  MetricsInput input;
  input.engine.append_us.Add(20);             // Bucket (16, 24].
  input.engine.append_us.Add(1'000'000'000);  // Above every bound.
  std::string text = MetricsText(input);
  EXPECT_TRUE(HasLine(text, "ursula_append_seconds_count 2"));
  EXPECT_NE(text.find("ursula_append_seconds_bucket{le=\"1.6"), std::string::npos);
  EXPECT_TRUE(HasLine(text, "ursula_append_seconds_bucket{le=\"+Inf\"} 2"));
}

}  // namespace
}  // namespace ursula::admin
