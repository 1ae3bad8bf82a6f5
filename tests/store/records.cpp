#include <algorithm>

#include "tests/store/backends.hpp"

namespace schedctl::store {
namespace {

std::vector<std::string> names(const std::vector<JobListing>& listings) {
  std::vector<std::string> found;
  for (const JobListing& listing : listings) found.push_back(listing.job.name);
  return found;
}

FOR_EACH_BACKEND("the next wake is the first of fires and of runs not yet due") {
  OPEN_STORE;
  CHECK_FALSE(must(store.next_wake(at(0))));
  job::Job job = add_job(store, "a");
  CHECK_FALSE(must(store.next_wake(at(0))));
  must(store.set_planned(job.id, at(1), at(50)));
  CHECK(must(store.next_wake(at(0))) == at(50));
  CHECK(must(store.next_wake(at(60))) == at(50));

  for (int due : {20, 30, 40}) {
    job::Run run = run_of(job, at(due));
    if (due == 40) run.state = job::RunState::succeeded;
    add_run(store, run);
  }
  CHECK(must(store.next_wake(at(0))) == at(20));
  CHECK(must(store.next_wake(at(20))) == at(30));
  CHECK(must(store.next_wake(at(30))) == at(50));
  must(store.set_planned(job.id, at(1), std::nullopt));
  CHECK(must(store.next_wake(at(20))) == at(30));
  CHECK_FALSE(must(store.next_wake(at(30))));
}

FOR_EACH_BACKEND("jobs and living runs are counted") {
  OPEN_STORE;
  CHECK(must(store.counts()).jobs == 0);
  job::Job job = add_job(store, "a");
  add_job(store, "b");
  for (int i = 0; i < 6; ++i) {
    job::Run run = run_of(job, at(i));
    run.state = i < 1   ? job::RunState::running
                : i < 3 ? job::RunState::pending
                        : job::RunState::failed;
    add_run(store, run);
  }
  Counts counts = must(store.counts());
  CHECK(counts.jobs == 2);
  CHECK(counts.runs_running == 1);
  CHECK(counts.runs_pending == 2);
}

FOR_EACH_BACKEND("a node has one row, the latest") {
  OPEN_STORE;
  Node node{.id = "n2",
            .hostname = "host",
            .pid = 12,
            .boot_id = "boot",
            .version = "1.0",
            .control_path = "/run/x",
            .keeper = "k",
            .started_at = at(1)};
  must(store.put_node(node));
  must(store.put_node({.id = "n1", .started_at = at(3)}));
  node.pid = 0;
  node.stopped_at = at(4);
  node.last_beat = at(5);
  must(store.put_node(node));
  std::vector<Node> nodes = must(store.list_nodes());
  std::ranges::sort(nodes, {}, &Node::id);
  REQUIRE(nodes.size() == 2);
  CHECK(nodes[0].id == "n1");
  CHECK_FALSE(nodes[0].stopped_at);
  CHECK(nodes[1].hostname == "host");
  CHECK(nodes[1].pid == 0);
  CHECK(nodes[1].boot_id == "boot");
  CHECK(nodes[1].version == "1.0");
  CHECK(nodes[1].control_path == "/run/x");
  CHECK(nodes[1].keeper == "k");
  CHECK(nodes[1].started_at == at(1));
  CHECK(nodes[1].stopped_at == at(4));
  CHECK(nodes[1].last_beat == at(5));
}

FOR_EACH_BACKEND("events and audit come newest first") {
  OPEN_STORE;
  for (int i = 1; i <= 3; ++i) {
    must(store.add_event(
        {.at = at(i), .node = "n", .kind = "daemon-up", .detail = std::to_string(i)}));
    must(store.add_audit({.at = at(i),
                          .who = "ada",
                          .action = "pause",
                          .job = i == 2 ? "b" : "a",
                          .detail = std::to_string(i)}));
  }
  std::vector<Event> events = must(store.list_events({.limit = 2}));
  REQUIRE(events.size() == 2);
  CHECK(events[0].detail == "3");
  CHECK(events[0].at == at(3));
  CHECK(events[0].node == "n");
  CHECK(events[0].kind == "daemon-up");
  CHECK(events[1].detail == "2");

  CHECK(must(store.list_audit("", 10)).size() == 3);
  CHECK(must(store.list_audit("c", 10)).empty());
  std::vector<Audit> audits = must(store.list_audit("a", 10));
  REQUIRE(audits.size() == 2);
  CHECK(audits[0].detail == "3");
  CHECK(audits[1].detail == "1");
  CHECK(audits[1].who == "ada");
  CHECK(audits[1].action == "pause");
  CHECK(audits[1].at == at(1));
  CHECK(must(store.list_audit("a", 1)).size() == 1);
}

FOR_EACH_BACKEND("a rollback takes back everything, a commit keeps everything") {
  OPEN_STORE;
  job::Job before = add_job(store, "before");
  auto change = [&] {
    job::Job job = add_job(store, "during");
    add_run(store, run_of(job, at(1)));
    must(store.insert_attempt(RunId{1}, {}, job::Reason::timeout));
    must(store.set_planned(before.id, at(5), at(6)));
    must(store.put_node({.id = "n"}));
    must(store.add_event({.kind = "reload"}));
    must(store.add_audit({.who = "ada"}));
    CHECK(must(store.find_job("during")));
  };
  {
    Transaction transaction = must(Transaction::begin(store));
    change();
  }
  CHECK(names(must(store.list_jobs(""))) == std::vector<std::string>{"before"});
  CHECK(must(store.list_runs({})).empty());
  CHECK(must(store.list_attempts(RunId{1})).empty());
  CHECK_FALSE(must(store.next_wake(at(0))));
  CHECK(must(store.list_nodes()).empty());
  CHECK(must(store.list_events({.limit = 9})).empty());
  CHECK(must(store.list_audit("", 9)).empty());

  Transaction transaction = must(Transaction::begin(store));
  change();
  must(transaction.commit());
  store.rollback();
  CHECK(must(store.list_jobs("")).size() == 2);
  CHECK(must(store.list_runs({})).size() == 1);
  CHECK(must(store.list_events({.limit = 9})).size() == 1);
}

FOR_EACH_BACKEND("a refusal inside a transaction does not end it") {
  OPEN_STORE;
  Transaction transaction = must(Transaction::begin(store));
  job::Job job = add_job(store, "a");
  job::Job same = job_named("a");
  CHECK_FALSE(store.insert_job(same));
  job::Run run = add_run(store, run_of(job, at(1)));
  CHECK_FALSE(must(store.insert_run(run)));
  add_job(store, "b");
  must(transaction.commit());
  CHECK(must(store.list_jobs("")).size() == 2);
}

FOR_EACH_BACKEND("a store has an id of its own") {
  OPEN_STORE;
  Backend other;
  CHECK(store.id().size() == 36);
  CHECK(store.id() != other.store->id());
}

}  // namespace
}  // namespace schedctl::store
