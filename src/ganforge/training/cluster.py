"""What torchrun and SLURM tell the processes that they start, and what SLURM can be asked for."""

import os
import subprocess


def started_together() -> int:
    """Processes that torchrun or srun started with this one, itself included.

    Each would look for itself, and see what the first has begun to do.
    """
    return int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_STEP_NUM_TASKS") or 1)


def rank_of_start() -> int:
    """The number of this process among those; 0 writes."""
    return int(os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or 0)


def requeue_in_slurm() -> str:
    """Put this SLURM job into the queue again, as ``resume=auto`` asks; returns what was done."""
    job = os.environ.get("SLURM_JOB_ID")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if job is None:
        return ""
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    except OSError as error:
        return f"SLURM job {job} could not be requeued ({error.strerror}: scontrol)"
    if done.returncode:
        return f"SLURM job {job} could not be requeued ({done.stderr.strip()})"
    return f"SLURM job {job} is in the queue again"
