"""A real Slurm on this machine: a controller and two nodes, a partition that preempts, nothing outside its folder.

Only the names of the nodes go outside, into /etc/hosts: ranks find each other by them.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
NODES = ("node1", "node2")
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
PriorityType=priority/basic
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobRequeue=1
ReturnToService=2
SlurmdTimeout=60
InactiveLimit=0
MinJobAge=300
KillWait=60
OverTimeLimit=0
Waittime=0
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
PartitionName=high Nodes={nodes} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def install() -> None:
    """Installs Slurm from Debian's packages, if it is not there."""
    if shutil.which("slurmctld", path="/usr/sbin:/usr/bin"):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise RuntimeError("Slurm is not installed, and apt-get as root is needed for that: " + " ".join(PACKAGES))
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


class LocalSlurm:
    """Starts with the object, ends with `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("munge", "state"):
            (folder / part).mkdir(parents=True)
        self._name_nodes()
        ports = free_ports(3)
        text = CONFIGURATION.format(
            host=socket.gethostname().split(".")[0], folder=folder, port=ports[0], nodes=",".join(NODES)
        )
        for node, port in zip(NODES, ports[1:], strict=True):
            text += (
                f"NodeName={node} NodeHostname={socket.gethostname().split('.')[0]} NodeAddr=127.0.0.1 Port={port} CPUs=2 "
                "Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=4000 State=UNKNOWN\n"
            )
        (folder / "slurm.conf").write_text(text)
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        self._start_daemons()
        self._await_nodes()

    @staticmethod
    def _name_nodes() -> None:
        hosts = Path("/etc/hosts").read_text()
        missing = [node for node in NODES if not re.search(rf"\s{node}(\s|$)", hosts)]
        if missing:
            with open("/etc/hosts", "a") as file:
                file.write("".join(f"127.0.0.1 {node}\n" for node in missing))

    def _start_daemons(self) -> None:
        munge = self.folder / "munge"
        key = munge / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        daemon(
            *(
                "munged",
                "--force",
                f"--key-file={key}",
                f"--socket={munge}/socket",
                f"--pid-file={self.folder}/munged.pid",
            ),
            *(f"--log-file={munge}/log", f"--seed-file={munge}/seed", "--num-threads=2"),
        )
        configuration = str(self.folder / "slurm.conf")
        daemon("slurmctld", "-c", "-f", configuration)
        for node in NODES:
            (self.folder / f"spool.{node}").mkdir()
            daemon("slurmd", "-N", node, "-f", configuration)

    def _await_nodes(self) -> None:
        for _ in range(150):
            if slurm("sinfo", "-h", "-N", "-t", "idle", "-p", "main").count("node") == len(NODES):
                return
            time.sleep(0.2)
        raise RuntimeError("Slurm does not start:\n" + (self.folder / "slurmctld.log").read_text()[-3000:])

    def stop(self) -> None:
        """Ends all jobs and daemons."""
        slurm("scancel", "--full", "--user=root")
        self._await_empty()
        pids = [int(path.read_text()) for path in self.folder.glob("*.pid") if path.read_text().strip()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue
            for _ in range(100):
                if not Path(f"/proc/{pid}").exists():
                    break
                time.sleep(0.1)

    @staticmethod
    def _await_empty() -> None:
        for _ in range(100):
            if not slurm("squeue", "-h"):
                return
            time.sleep(0.3)


def daemon(*command: str) -> None:
    """Starts a daemon, which leaves the foreground by itself."""
    environment = {**os.environ, "PATH": f"/usr/sbin:{os.environ['PATH']}"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def slurm(*command: str) -> str:
    """What a Slurm command prints; empty where it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
