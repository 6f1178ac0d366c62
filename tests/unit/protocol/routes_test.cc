#include "server/protocol/routes.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace ursula::protocol {
namespace {

// "bucket|affinity|name" of a stream's path; the kind of anything else.
std::string Describe(std::string_view path) {
  Route route = ParsePath(path);
  switch (route.kind) {
    case RouteKind::kStream:
      return route.stream.bucket + "|" + route.stream.affinity + "|" + route.stream.name;
    case RouteKind::kBucket:
      return "bucket " + route.stream.bucket;
    case RouteKind::kStreamList:
      return "list " + route.stream.bucket;
    case RouteKind::kBatch:
      return "batch " + route.stream.bucket;
    case RouteKind::kReserved:
      return "reserved";
    case RouteKind::kInvalid:
      return "invalid " + std::string(route.code);
    case RouteKind::kUnknown:
      return "unknown";
  }
  return "";
}

// Rule 1: streams live under /v1/stream/ and their names may hold '/'.
TEST(RoutesTest, Rule01UpstreamNamesMayHoldSlashes) {
  EXPECT_EQ(Describe("/v1/stream/a"), "v1||a");
  EXPECT_EQ(Describe("/v1/stream/events/x"), "v1||events/x");
  EXPECT_EQ(Describe("/v1/stream/a%2Fb"), "v1||a/b");
  EXPECT_EQ(Describe("/v1/stream/streams"), "v1||streams");
  EXPECT_EQ(Describe("/v1/stream/a/snapshot"), "v1||a/snapshot");
}

// The same streams below each, and no bucket by the name that one begins with.
TEST(RoutesTest, StreamsLiveBelowFurtherRoots) {
  const std::vector<std::string> roots = {"/v1/streams/", "/streams/", "/api/v2/s/"};
  for (std::string_view root : {"/v1/stream/", "/v1/streams/", "/streams/", "/api/v2/s/"}) {
    Route route = ParsePath(std::string(root) + "a/b%2Fc", roots);
    EXPECT_EQ(route.kind, RouteKind::kStream) << root;
    EXPECT_EQ(route.stream, (StreamId{kUpstreamBucket, "", "a/b/c"}));
    EXPECT_EQ(ParsePath(std::string(root) + "__ds/x", roots).kind, RouteKind::kReserved);
    EXPECT_EQ(ParsePath(std::string(root) + "../x", roots).kind, RouteKind::kInvalid);
    EXPECT_NE(ParsePath(root.substr(0, root.size() - 1), roots).kind, RouteKind::kBucket);
  }
  for (std::string_view taken : {"/streams", "/streams?", "/%73treams", "/api/x", "/v1/x"}) {
    EXPECT_EQ(ParsePath(taken.substr(0, taken.find('?')), roots).kind, RouteKind::kReserved)
        << taken;
  }
  EXPECT_EQ(ParsePath("/stream", roots).kind, RouteKind::kBucket);
  EXPECT_EQ(ParsePath("/streamsx/a", roots).stream.bucket, "streamsx");
  EXPECT_EQ(ParsePath("/demo/streams", roots).kind, RouteKind::kStreamList);
  EXPECT_EQ(ParsePath("/streams/a").stream, (StreamId{"streams", "", "a"}));
}

TEST(RoutesTest, BucketsListsAndStreams) {
  EXPECT_EQ(Describe("/demo"), "bucket demo");
  EXPECT_EQ(Describe("/demo/streams"), "list demo");
  EXPECT_EQ(Describe("/demo/hello"), "demo||hello");
  EXPECT_EQ(Describe("/demo/user-1/hello"), "demo|user-1|hello");
  EXPECT_EQ(Describe("/demo/streams/hello"), "demo|streams|hello");
  EXPECT_EQ(Describe("/demo/a/b/c"), "unknown");
  EXPECT_EQ(Describe("/"), "unknown");
  EXPECT_EQ(Describe(""), "unknown");
  EXPECT_EQ(Describe("*"), "unknown");
}

TEST(RoutesTest, BucketGrammar) {
  EXPECT_EQ(Describe("/abc"), "invalid INVALID_BUCKET");
  EXPECT_EQ(Describe("/Demo"), "invalid INVALID_BUCKET");
  EXPECT_EQ(Describe("/demo.x/s"), "invalid INVALID_BUCKET");
  EXPECT_EQ(Describe("/" + std::string(64, 'a')), "bucket " + std::string(64, 'a'));
  EXPECT_EQ(Describe("/" + std::string(65, 'a')), "invalid INVALID_BUCKET");
  EXPECT_TRUE(IsBucketName("a_-9"));
  EXPECT_FALSE(IsBucketName("metrics"));
  EXPECT_FALSE(IsBucketName("_abc"));
}

TEST(RoutesTest, ReservedNamesAreNoStreams) {
  for (const char* path : {"/v1",
                           "/v1/",
                           "/v1/streams",
                           "/healthz",
                           "/readyz",
                           "/metrics",
                           "/admin/x",
                           "/console",
                           "/_x",
                           "/__ursula/metrics",
                           "/v1/stream/__ds/subscriptions/a",
                           "/v1/stream/__ds",
                           "/demo/a/append-batch",
                           "/demo/a/attrs",
                           "/demo/a/bootstrap",
                           "/demo/a/retention",
                           "/demo/a/snapshot",
                           "/demo/a/streams",
                           "/demo/$x",
                           "/demo/a/$transaction",
                           "/demo/a/b/attrs",
                           "/demo/%24x"}) {
    EXPECT_EQ(Describe(path), "reserved") << path;
  }
  EXPECT_EQ(Describe("/v1/stream/__batch"), "batch v1");
  EXPECT_EQ(Describe("/v1/stream/__%62atch"), "batch v1");
  EXPECT_EQ(Describe("/demo/append-batch"), "batch demo");
  EXPECT_EQ(Describe("/v1/stream/__batch/a"), "v1||__batch/a");
  EXPECT_EQ(Describe("/v1/stream/append-batch"), "v1||append-batch");
  EXPECT_EQ(Describe("/demo/__batch"), "demo||__batch");
  EXPECT_EQ(Describe("/v1/stream/__dsx"), "v1||__dsx");
  EXPECT_EQ(Describe("/v1/stream/a/__ds"), "v1||a/__ds");
}

TEST(RoutesTest, DecodesExactlyOnceAndNeverAliases) {
  EXPECT_EQ(Describe("/v1/stream/%2541"), "v1||%41");
  EXPECT_EQ(Describe("/demo/a%2Fb"), "invalid INVALID_STREAM_NAME");
  EXPECT_EQ(Describe("/demo/%C3%A9"), "demo||\xC3\xA9");
  EXPECT_EQ(Describe("/demo/a+b"), "demo||a+b");
}

TEST(RoutesTest, RefusesTraversalControlsAndBadEscapes) {
  for (const char* rest : {"..", "a/../b", "a//b", "a/", "/a", ".", "%2e%2e", "a%00b", "a%0Ab",
                           "a%7F", "%", "%4", "%zz", "%FF", "%C3", ""}) {
    EXPECT_EQ(Describe(std::string("/v1/stream/") + rest), "invalid INVALID_STREAM_NAME") << rest;
  }
  for (const char* rest : {"..", "", "%2e", "a%00", "a/", "a/..", "../a", "%FF"}) {
    EXPECT_EQ(Describe(std::string("/demo/") + rest), "invalid INVALID_STREAM_NAME") << rest;
  }
}

TEST(RoutesTest, NamesAreAtMost1024Bytes) {
  std::string longest(kStreamNameBytesMax, 'n');
  EXPECT_EQ(ParsePath("/v1/stream/" + longest).kind, RouteKind::kStream);
  EXPECT_EQ(ParsePath("/v1/stream/" + longest + "n").kind, RouteKind::kInvalid);
  EXPECT_EQ(ParsePath("/demo/" + longest).kind, RouteKind::kStream);
  EXPECT_EQ(ParsePath("/demo/a/" + longest.substr(2)).kind, RouteKind::kStream);
  EXPECT_EQ(ParsePath("/demo/a/" + longest.substr(1)).kind, RouteKind::kInvalid);
}

}  // namespace
}  // namespace ursula::protocol
