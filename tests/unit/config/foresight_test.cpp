// What a start would find in the file system, told from files in a directory of the test. The users are only numbers
// here, so the test needs no privilege.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "master/config/reach.h"
#include "master/config/runnable.h"
#include "tests/unit/config/fake_host.h"
#include "tests/unit/config/shapes.h"

namespace bulkhead::config {
namespace {

namespace fs = std::filesystem;

// A directory below which every mode is the test's own.
class Files {
 public:
  Files() {
    std::string name = fs::temp_directory_path() / "foresight-XXXXXX";
    top_ = mkdtemp(name.data());
    chmod(top_.c_str(), 0755);
  }
  ~Files() {
    std::error_code error;
    for (const auto& one : fs::directory_iterator(top_)) {
      if (one.symlink_status().type() == fs::file_type::directory) chmod(one.path().c_str(), 0700);
    }
    fs::remove_all(top_, error);
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  [[nodiscard]] std::string at(const std::string& name) const { return top_ + "/" + name; }

  std::string directory(const std::string& name, mode_t mode = 0755) {
    fs::create_directories(at(name));
    chmod(at(name).c_str(), mode);
    return at(name);
  }

  std::string file(const std::string& name, const std::string& text, mode_t mode = 0755) {
    std::ofstream(at(name)) << text;
    chmod(at(name).c_str(), mode);
    return at(name);
  }

  [[nodiscard]] const std::string& top() const { return top_; }

 private:
  std::string top_;
};

// Neither root nor whoever runs the test.
Who stranger() {
  return {"carol", 54321, 54321, {}};
}

std::string why_not(const std::string& program, const std::string& root = "") {
  return prospect_of(program, {stranger(), root, "/", "", true}).problem;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a program behind a directory that its user may not enter cannot be executed") {
  Files files;
  files.directory("closed", 0700);
  const std::string program = files.file("closed/run", "#!/bin/sh\n");
  CHECK(has(why_not(program), "user carol may not enter " + files.at("closed") + ": it has mode 0700"));
  chmod(files.at("closed").c_str(), 0711);
  CHECK(why_not(program).empty());
}

TEST_CASE("a link leads to the permissions of its target") {
  Files files;
  files.directory("closed", 0700);
  files.file("closed/run", "#!/bin/sh\n");
  fs::create_symlink("closed/run", files.at("link"));
  CHECK(has(why_not(files.at("link")), "may not enter " + files.at("closed")));
  fs::create_symlink("loop", files.at("loop"));
  CHECK(has(why_not(files.at("loop")), "Too many levels"));
}

TEST_CASE("a script is judged with its interpreters, each of which may be a script") {
  Files files;
  const std::string first = files.file("first", "#!/bin/sh\n");
  CHECK(why_not(files.file("second", "#!" + first + "\n")).empty());
  CHECK(has(why_not(files.file("lost", "#!/no/such/interpreter\n")), "its interpreter \"/no/such/interpreter\""));
  files.file("closed", "#!/bin/sh\n", 0700);
  CHECK(has(why_not(files.file("third", "#!" + files.at("closed") + "\n")), "carol may not execute"));
  files.file("round", "#!" + files.at("round") + "\n");
  CHECK(has(why_not(files.at("round")), "more than the kernel follows"));
}

TEST_CASE("an interpreter has to read its script") {
  Files files;
  CHECK(has(why_not(files.file("secret", "#!/bin/sh\n", 0711)), "its interpreter cannot read it: user carol may not"));
}

TEST_CASE("with another root directory, programs and interpreters are looked for there") {
  Files files;
  files.directory("jail/bin");
  files.file("jail/bin/run", "#!/bin/missing\n");
  CHECK(has(why_not("/bin/run", files.at("jail")), "its interpreter \"/bin/missing\""));
  fs::copy_file("/bin/true", files.at("jail/bin/true"));
  const std::string why = why_not("/bin/true", files.at("jail"));
  CHECK((why.empty() || has(why, "its dynamic loader")));
  fs::create_symlink("../../../../../bin/run", files.at("jail/bin/up"));
  CHECK(has(why_not("/bin/up", files.at("jail")), "/bin/missing"));
}

TEST_CASE("a command that env looks for, and a set-user-ID bit without effect, are doubts only") {
  Files files;
  const std::string program = files.file("run", "#!/usr/bin/env no-such-command\n");
  const Prospect prospect = prospect_of(program, {stranger(), "", "/", "/bin:/usr/bin", true});
  CHECK(prospect.problem.empty());
  CHECK(has(prospect.doubt, "no program \"no-such-command\" in its PATH"));
  const std::string special = files.file("special", "#!/bin/sh\n", 04755);
  CHECK(has(prospect_of(special, {stranger(), "", "/", "", true}).doubt, "set-user-ID"));
  CHECK(prospect_of(special, {stranger(), "", "/", "", false}).doubt.empty());
}

// A copy of a small program that needs `name` instead of the C library. `name` is as long as its name.
std::string needing(Files& files, const std::string& name, const std::string& library) {
  std::ifstream original("/bin/true", std::ios::binary);
  std::string image((std::istreambuf_iterator<char>(original)), {});
  const std::string c_library("libc.so.6", 10);
  const std::size_t at = image.find(c_library);
  if (at == std::string::npos) return "";
  image.replace(at, c_library.size() - 1, library);
  return files.file(name, image);
}

TEST_CASE("a library that a program needs and that is nowhere is missing") {
  Files files;
  const std::string program = needing(files, "needy", "libNO.so.");
  if (program.empty()) return;  // a system with a C library of another name
  Runner runner{stranger(), "", "/", "", true};
  CHECK(prospect_of("/bin/true", runner).missing.empty());
  const Prospect prospect = prospect_of(program, runner);
  CHECK(prospect.problem.empty());
  CHECK(prospect.missing ==
        "it needs the library \"libNO.so.\", which is in none of /etc/ld.so.cache and the system's directories such as "
        "/usr/lib");
  const std::string script = files.file("script", "#!" + program + "\n");
  CHECK(has(prospect_of(script, runner).missing, "its interpreter \"" + program + "\" needs the library"));

  runner.root = files.directory("jail");
  files.directory("jail/bin");
  fs::copy_file(program, files.at("jail/bin/needy"));
  for (const char* loader : {"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"}) {
    if (!fs::exists(loader)) continue;
    files.directory("jail" + fs::path(loader).parent_path().string());
    fs::copy_file(loader, files.at("jail" + std::string(loader)));
    CHECK(has(prospect_of("/bin/needy", runner).missing, "/usr/lib, inside the root directory \"" + files.at("jail")));
  }
  runner.root.clear();

  runner.loader_path = "/no/such:" + files.directory("lib");
  CHECK(has(prospect_of(program, runner).missing, "in none of \"/no/such\", \"" + files.at("lib") + "\", /etc"));
  files.file("lib/libNO.so.", "no library");
  CHECK(has(prospect_of(program, runner).missing, "/lib/libNO.so.\" is there, but is no library)"));
  fs::copy_file("/bin/true", files.at("lib/libNO.so."), fs::copy_options::overwrite_existing);
  CHECK(prospect_of(program, runner).missing.empty());
  chmod(files.at("lib/libNO.so.").c_str(), 0600);
  CHECK(has(prospect_of(program, runner).missing, "(user carol may not read " + files.at("lib/libNO.so.")));
  runner.loader_path = "$LIB";
  CHECK(prospect_of(program, runner).missing.empty());
}

TEST_CASE("a file can be appended to if it or its directory may be written to") {
  Files files;
  const Who own{"us", geteuid(), getegid(), {}};
  CHECK(why_not_appendable(files.at("new"), own).empty());
  CHECK(has(why_not_appendable(files.at("no/such"), own), "\"" + files.at("no") + "\" does not exist"));
  CHECK(has(why_not_appendable(files.at("no/such/deep"), own), "\"" + files.at("no") + "\" does not exist"));
  CHECK(has(why_not_appendable(files.top(), own), "Is a directory"));
  CHECK(has(why_not_appendable(files.file("plain", "x") + "/log", own), "Not a directory"));
  CHECK(has(why_not_appendable(files.at("new"), stranger()), "carol may not write to"));
}

// The real files, and everything else as it is not.
class SeeingHost final : public FakeHost {
 public:
  using FakeHost::FakeHost;
  bool foresees(Foreseen) const override { return true; }
  bool has_capability(int) const override { return false; }
  int bind_error(const ListenAddress& address, bool) const override {
    if (address.form == ListenAddress::Form::ipv6) return EAFNOSUPPORT;
    return address.port == 80 ? EACCES : 0;
  }
  std::uint64_t most_descriptors() const override { return 5000; }
};

std::string told(Shape shape, std::string_view fragment, std::uint32_t uid = 0) {
  const Loaded loaded = parse(file_of(shape, fragment), "f", "/etc", SeeingHost(uid));
  std::string out = texts(loaded);
  for (const Problem& warning : loaded.warnings) out += (out.empty() ? "" : "\n") + warning.text();
  return out;
}

TEST_CASE("an address that cannot be bound is a problem at its place") {
  CHECK(
      told(Shape::child, R"({"id":"a","type":"listener","listen":["1.2.3.4:81","1.2.3.4:80"],"handler":"echo"})", 1) ==
      "f:2:52: /supervisor/children/0/listen/1: cannot listen on \"1.2.3.4:80\": this port needs "
      "CAP_NET_BIND_SERVICE, which the daemon does not have");
}

TEST_CASE("an address of a family that the system lacks is left out if there is another one") {
  const std::string_view two = R"({"id":"a","type":"listener","listen":["127.0.0.1:81","[::1]:81"],"handler":"echo"})";
  CHECK(told(Shape::child, two, 1) ==
        "f:2:54: /supervisor/children/0/listen/1: warning: cannot listen on \"[::1]:81\": this system has no IPv6; it "
        "would be left out");
  CHECK(has(told(Shape::child, R"({"id":"a","type":"listener","listen":"[::1]:81","handler":"echo"})", 1),
            "f:2:38: /supervisor/children/0/listen: cannot listen on \"[::1]:81\": this system has no IPv6"));
}

TEST_CASE("what needs a capability that the daemon lacks is a problem") {
  CHECK(has(told(Shape::process, R"("rlimits":{"nofile":4999})"),
            "/rlimits/nofile: raising the hard limit, which is 4096"));
  CHECK(has(told(Shape::process, R"("rlimits":{"nofile":5001})"), "no process can have more than 5000"));
  CHECK(has(told(Shape::process, R"("user":"nobody")"), "/user: this needs CAP_SETUID"));
  CHECK(has(told(Shape::process, R"("ioprio":"realtime:0")"), "/ioprio: this needs CAP_SYS_NICE"));
}

TEST_CASE("the log, the pid file and the sockets need a directory") {
  CHECK(has(told(Shape::top, R"("log":{"target":"/no/such/log"})"),
            "f:2:17: /log/target: cannot open the log \"/no/such/log\": \"/no\" does not exist"));
  CHECK(has(told(Shape::top, R"("daemon":{"pid_file":"/no/such/pid"})"),
            "f:2:22: /daemon/pid_file: cannot keep the pid"));
  CHECK(has(told(Shape::top, R"("control":{"socket":"/no/such/s"})"), "f:2:21: /control/socket: cannot make"));
  CHECK(has(told(Shape::child, R"({"id":"a","type":"listener","listen":"unix:/no/s","handler":"echo"})"),
            "f:2:38: /supervisor/children/0/listen: cannot listen on \"unix:/no/s\": \"/no\" does not exist"));
}

}  // namespace
}  // namespace bulkhead::config
