# Needs make and Python 3.11 or newer; everything else is made here, in .venv (see bootstrap.sh).
PYTHON := .venv/bin/python

.PHONY: demo test test-vm check bench clean .venv

# Three simulated hosts, provisioned over SSH and proved; run it again and nothing changes.
demo: .venv
	@$(PYTHON) -m tests.sandbox up
	.venv/bin/pyinfra inventories/sandbox.py deploys/gpu_host.py -y

# Everything: `check`, the shell scripts in a real shell, and the tests against the simulated hosts.
test: check
	$(PYTHON) -m pytest tests/areas -n 2
	@sh bootstrap.sh program shellcheck
	find . -name '*.sh' -not -path './.*' -not -path './tests/machines/*' -exec shellcheck --severity=warning .ci/run {} +
	@$(PYTHON) -m tests.sandbox up
	$(PYTHON) -m pytest tests/e2e -n 2 --dist loadfile --no-loadscope-reorder

# What wants a kernel of its own: cameras, sound, cgroup v2, reboots. A virtual machine, by QEMU without KVM: minutes.
test-vm: .venv
	@sh bootstrap.sh program qemu-system-x86_64 qemu-system-x86
	@sh bootstrap.sh program mkfs.ext4 e2fsprogs
	@sh bootstrap.sh program ssh openssh-client
	@sh bootstrap.sh program mmdebstrap
	@sh bootstrap.sh program chromium
	$(PYTHON) -m pytest tests/vm --durations 0 --durations-min 1

# Seconds, no privileges, no network: lint, types and the pure tests.
check: .venv
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -n 2 --dist worksteal

# What a run costs, beside a hand-written script over plain ssh. The demo comes first: a second run of it is measured.
bench: demo
	$(PYTHON) -m tests.bench

# The simulated hosts and all that was made here.
clean:
	@python=$$(sh bootstrap.sh python) && $$python -m tests.vm down && $$python -m tests.sandbox down
	rm -rf .venv .sandbox .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv:
	@sh bootstrap.sh venv
