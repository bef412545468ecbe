# The two commands of the README are `make demo` and `make test`.

export PATH := $(HOME)/.cargo/bin:$(PATH)
STATE := $(or $(XDG_STATE_HOME),$(HOME)/.local/state)/matou
DEMO := $(STATE)/lab/demo/config.toml
MATOU := target/release/matou
CLEAN_VMS := for f in provvm provvmx provvmp recovm nfsvm quotavm; do cargo run --locked --quiet --all-features -- lab down --name $$f; done

.PHONY: demo demo-down check test test-engines test-vm test-long faults lint fuzz bench screenshot speed speed-backup speed-snapshots setup build dist dist-again try-dist

setup:
	@scripts/setup.sh

build: setup
	cargo build --release --locked

# A practice fleet of three servers, and the console on it.
demo: build
	@$(MATOU) lab up --name demo
	@if [ -t 0 ] && [ -t 1 ]; then $(MATOU) --config $(DEMO); \
	else $(MATOU) --config $(DEMO) status; fi

demo-down:
	$(MATOU) lab down --name demo

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib --document-private-items --quiet
	shellcheck $$(git ls-files '*.sh')
	@git ls-files '*.sh' | while read -r f; do \
	case $$(head -n 1 "$$f") in *bash*) ;; *) dash -n "$$f" || exit 1 ;; esac; done
	@scripts/words-and-licences.sh

# What needs no root, no Docker and no servers: lints, unit, snapshot, property and key tests. It wants
# Rust, shellcheck and dash.
check: lint
	cargo test --locked --workspace

# The same and the end-to-end tests, which make practice fleets and remove them.
test: setup lint
	scripts/test.sh

# The tests in which the engine and restic say most, on the older ones that matou works with; `make test` uses
# the newest. ENGINES="20.10" for one.
ENGINES := 20.10 26.1
test-engines: setup
	scripts/test-engines.sh $(ENGINES)

# What needs kernels of their own, on virtual machines: storage that grows, NFS, swap, reboots, a fleet
# that is lost and recovered. With
# MATOU_TEST_BLANK=1 from blank machines, otherwise from ones that hold the packages already.
test-vm: setup
	@trap '$(CLEAN_VMS)' EXIT; cargo test --locked --all-features --test provision_vm --test nfs_vm --test quota_vm --test recover_vm --no-fail-fast -- --ignored --nocapture

# What takes minutes on fleets of its own, some forty in all: whose a snapshot is, an erasing, nine
# nights with an append-only copy and a thief at it, the life of Ghost, WordPress and other programs, the
# infrastructure of a fleet without matou taken over, jobs and alerts of three managers, every command on a fleet that
# says hostile things; and all of what `make test` tries some of: a kill at every point of each
# operation, all that a container can make in its volume.
LONG := ownership erase copies kills links volumes rehearse escapes ghost wordpress software wikis teams seed app_jobs tellha
test-long: setup
	@trap 'for f in own era cop kil link vols vold reh esc ghost press soft sites dates wiki pedia tracker seed appjobs tellha; do cargo run --locked --quiet --all-features -- lab down --name $$f; done' EXIT; \
	MATOU_TEST_ALL=1 cargo test --locked -p matou-ops --lib explored && \
	MATOU_TEST_ALL=1 cargo test --locked --all-features $(LONG:%=--test %) --no-fail-fast -- --include-ignored --nocapture --test-threads 1

# The table of docs/faults.md, of what the tests did since the last `cargo clean`.
faults:
	scripts/faults.sh

# Needs a nightly compiler and cargo-fuzz (`cargo install --locked cargo-fuzz`); `make test` tries the same
# with bounded effort. What is found lies in fuzz/target/found; FUZZ_TIME are seconds for each target.
FUZZ_TIME := 60
fuzz:
	cd fuzz && for t in $$(cargo +nightly fuzz list); do mkdir -p target/found/$$t; \
	cargo +nightly fuzz run $$t target/found/$$t corpus/$$t -- -max_total_time=$(FUZZ_TIME) -max_len=4096 \
	-rss_limit_mb=2048 -timeout=10 || exit 1; done

bench: setup
	cargo bench --locked

# Measures the release binary in a pseudo-terminal; prints the table of docs/performance.md.
speed: build
	cargo run --locked --release --example speed

# A backup through matou beside plain restic, on a practice fleet, as root.
speed-backup: build
	scripts/backup-speed.sh $(MATOU)

# A snapshot of a million files and a repository of ten thousand snapshots, on a practice fleet, as root.
speed-snapshots: build
	cargo run --locked --example snapshots

# The pictures in the READMEs, from the real screens on a practice fleet.
screenshot: build
	@$(MATOU) lab up --name demo
	cargo run --locked --example screenshot -- $(MATOU) $(DEMO) assets

# What a release consists of, in target/packages: static programs, archives and .debs for x86_64 and aarch64,
# checksums, a list of all that is linked. Needs rustup and Debian's dpkg-deb; installs other tools into target.
dist:
	scripts/dist.sh

# The same from a fresh clone in another folder, and whether every byte is the same.
dist-again:
	scripts/dist-again.sh

# Starts what `make dist` made in roots of Debian 11, 12 and 13, as root.
try-dist:
	scripts/try-dist.sh
