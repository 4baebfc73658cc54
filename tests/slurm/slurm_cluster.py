"""A Slurm cluster of one node on this machine, for tests: real daemons, fake GPUs, no database.

The Snakemake executor strips SLURM_CONF from the environment of its jobs, so the configuration has to lie where Slurm
looks by itself: /etc/slurm gets links to it, and loses them again. Whatever lies there and is not ours is left alone.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

CONFIG = Path("/etc/slurm")
NAMES = ("slurm.conf", "gres.conf", "cgroup.conf")
DAEMONS = ("slurmd", "slurmctld", "munged")
OWNER = "voxfield-tests.pid"  # in the folder of a cluster: the test session that started it
PREFIX = "vfslurm-"
GPUS = 2
PATIENCE_S = 20.0


class Unavailable(Exception):
    """No cluster can be started here; the message says why."""


class Cluster:
    """Daemons in a folder of their own, up from `start` to `stop`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))  # sockets need short paths

    def start(self) -> None:
        """Bring it up; raises Unavailable."""
        _refuse_where_it_can_not_be()
        folder = self.folder
        folder.chmod(0o755)
        for name in ("state", "spool", "munge"):
            (folder / name).mkdir()
        (folder / OWNER).write_text(str(os.getpid()))
        key = folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        (folder / "munge").chmod(0o700)
        for number in range(GPUS):
            (folder / f"gpu{number}").touch()  # slurmd drops GPUs without a file
        for name, text in zip(NAMES, _configuration(folder), strict=True):
            (folder / name).write_text(text)
            (CONFIG / name).symlink_to(folder / name)
        munge = folder / "munge"
        words = ["munged", "--force", f"--key-file={key}", f"--socket={munge}/socket", f"--seed-file={munge}/seed"]
        _daemon(*words, f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log")
        _daemon("slurmctld", "-c", "-f", str(folder / "slurm.conf"))
        _daemon("slurmd", "-f", str(folder / "slurm.conf"), "-N", _host())
        deadline = time.monotonic() + PATIENCE_S
        while "idle" not in slurm("sinfo", "--noheader", "--format", "%T"):
            if time.monotonic() > deadline:
                raise Unavailable(f"Slurm did not come up: {slurm('sinfo')}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Cancel what still runs, end the daemons of this folder, and remove the links to it."""
        slurm("scancel", "--full", "--user", str(os.geteuid()))  # jobs outlive their daemons
        deadline = time.monotonic() + 10
        while slurm("squeue", "--noheader", "--states", "running,completing") and time.monotonic() < deadline:
            time.sleep(0.1)
        _clear(self.folder)


def slurm(*words: str) -> str:
    """What a command of Slurm says."""
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout


def _refuse_where_it_can_not_be() -> None:
    if os.geteuid() != 0:
        raise Unavailable("Slurm's daemons and /etc/slurm need root")
    missing = [name for name in (*DAEMONS, "sbatch", "squeue", "scancel") if _program(name) is None]
    if missing:
        raise Unavailable(f"Slurm is not installed: no {', '.join(missing)}; .ci/run says how to get it")
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        raise Unavailable("the Slurm executor is not installed: pip install voxfield[slurm]")
    if not os.access(CONFIG, os.W_OK):
        raise Unavailable(f"{CONFIG} is not there or can not be written")
    for place in (CONFIG / name for name in NAMES):
        if place.is_symlink() and (place.resolve().parent / OWNER).is_file():
            _clear_if_left_behind(place.resolve().parent)
        elif place.is_symlink() and not place.exists() and place.readlink().parent.name.startswith(PREFIX):
            place.unlink()  # ours, and its folder is gone
        if place.is_symlink() or place.exists():
            raise Unavailable(f"{place} is there: a real Slurm, or that of another test session")


def _clear_if_left_behind(folder: Path) -> None:
    """Clear up after a test session that was killed."""
    owner = Path("/proc") / (folder / OWNER).read_text() / "cmdline"
    with suppress(OSError):
        if b"pytest" in owner.read_bytes():
            return
    _clear(folder)


def _clear(folder: Path) -> None:
    for name in DAEMONS:
        with suppress(OSError, ValueError):
            _end(int((folder / f"{name}.pid").read_text()), name)
    for place in (CONFIG / name for name in NAMES):
        if place.is_symlink() and place.readlink().parent == folder:
            place.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _end(pid: int, name: str) -> None:
    """End a daemon; the pid may be old and somebody else's by now."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 5
        if _lives(pid, name):
            os.kill(pid, number)
        while _lives(pid, name) and time.monotonic() < deadline:
            time.sleep(0.05)


def _lives(pid: int, name: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().partition("(")[2].split()[:2] in ([f"{name})", s] for s in "RSD")
    except OSError:
        return False


def _daemon(name: str, *words: str) -> None:
    told = subprocess.run([_program(name) or name, *words], capture_output=True, text=True, check=False, timeout=60)
    if told.returncode != 0:
        raise Unavailable(f"{name} does not start: {told.stderr.strip()}")


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def _host() -> str:
    return socket.gethostname().split(".")[0]


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


def _configuration(folder: Path) -> tuple[str, str, str]:
    """slurm.conf, gres.conf and cgroup.conf."""
    host, (control, node) = _host(), _free_ports(2)
    general = f"""
ClusterName=voxfield
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={control}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MinJobAge=600
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=8000 Gres=gpu:fake:{GPUS} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=60 State=UP
PartitionName=gpu Nodes={host} MaxTime=60 State=UP
"""
    cards = f"AutoDetect=off\nNodeName={host} Name=gpu Type=fake File={folder}/gpu[0-{GPUS - 1}]\n"
    return general, cards, "CgroupPlugin=autodetect\n"
