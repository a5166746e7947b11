"""A flywheel's data through huggingface_hub: repositories, uploads of every size, downloads of data and of an adapter,
errors, deletion. Run against the upload modes of the platform with a second argument list: BASES... MODE.
"""

import hashlib
import io
import json
import os
import pathlib
import random
import sys
import tempfile

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
MODE = sys.argv[4]
if MODE == "lfs":
    # Where hf_xet is installed newer versions put nothing over LFS else, and ask for Xet.
    os.environ["HF_HUB_DISABLE_XET"] = "1"
work = tempfile.TemporaryDirectory()
os.environ["HF_HOME"] = work.name

import wire  # noqa: E402
from huggingface_hub import (  # noqa: E402
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.utils import (  # noqa: E402
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

ENDPOINT = f"{wire.DATASTORE}/v1/hf"
NAMESPACE = "foreign"
api = HfApi(endpoint=ENDPOINT, token="nothing")


def refused(kind, action):
    """The error of an action that must be refused."""
    try:
        action()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def create():
    """Repositories: made, made twice, in no namespace."""
    wire.namespaces(NAMESPACE)
    url = api.create_repo(f"{NAMESPACE}/train", repo_type="dataset")
    assert url.repo_id == f"{NAMESPACE}/train" and url.repo_type == "dataset", url
    again = refused(HfHubHTTPError, lambda: api.create_repo(f"{NAMESPACE}/train", repo_type="dataset"))
    assert again.response.status_code == 409 and "409" in str(again), again
    api.create_repo(f"{NAMESPACE}/train", repo_type="dataset", exist_ok=True)
    lost = refused(HfHubHTTPError, lambda: api.create_repo("nowhere/train", repo_type="dataset"))
    assert lost.response.status_code == 404, lost
    api.create_repo(f"{NAMESPACE}/model")
    assert api.repo_exists(f"{NAMESPACE}/train", repo_type="dataset")
    assert not api.repo_exists(f"{NAMESPACE}/absent", repo_type="dataset")
    assert [one.id for one in api.list_datasets(author=NAMESPACE)] == [f"{NAMESPACE}/train"]
    assert [one.id for one in api.list_models(author=NAMESPACE)] == [f"{NAMESPACE}/model"]
    # A model is a repository like any other.
    api.upload_file(path_or_fileobj=b"weights\n", path_in_repo="weights.bin", repo_id=f"{NAMESPACE}/model")
    local = hf_hub_download(f"{NAMESPACE}/model", "weights.bin", endpoint=ENDPOINT, token=False)
    assert pathlib.Path(local).read_bytes() == b"weights\n"


def put(source, path, repo="train"):
    """Uploads one file and returns what the client makes of the answer."""
    return api.upload_file(
        path_or_fileobj=source, path_in_repo=path, repo_id=f"{NAMESPACE}/{repo}", repo_type="dataset", revision="main"
    )


def same(path, content, repo="train"):
    """Asserts that a file downloads as it was uploaded."""
    local = hf_hub_download(f"{NAMESPACE}/{repo}", path, repo_type="dataset", endpoint=ENDPOINT, token=False)
    with open(local, "rb") as file:
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(content).digest(), path


def small_files():
    """Bytes, buffers and paths; an empty file; names with blanks and letters; a README, which is looked at first."""
    put(io.BytesIO(wire.training_rows(0, 90)), "training/train_data.jsonl")
    same("training/train_data.jsonl", wire.training_rows(0, 90))
    put(wire.training_rows(90, 105), "validation/val_data.jsonl")
    local = pathlib.Path(work.name, "local file.txt")
    local.write_bytes("größer als nichts\n".encode())
    put(str(local), "other/größe und mehr.txt")
    same("other/größe und mehr.txt", local.read_bytes())
    put(b"", "other/empty")
    same("other/empty", b"")
    put(b"---\nlicense: mit\n---\n# Data\n", "README.md")
    put(b"second\n", "other/empty")
    same("other/empty", b"second\n")


def large_file():
    """20 MB that do not repeat."""
    content = random.Random(4).randbytes(20_000_000)
    api.create_repo(f"{NAMESPACE}/large", repo_type="dataset")
    put(io.BytesIO(content), "large.bin", "large")
    same("large.bin", content, "large")
    info = api.get_paths_info(f"{NAMESPACE}/large", ["large.bin"], repo_type="dataset")
    assert [one.size for one in info] == [20_000_000], info
    assert (info[0].lfs is not None) == (MODE == "lfs"), info


def many_files():
    """A folder of 300 files, more than one preupload takes; then deletions in one commit."""
    folder = pathlib.Path(work.name, "many")
    for number in range(300):
        path = folder / f"part-{number % 7}" / f"{number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"number": number}) + "\n")
    api.create_repo(f"{NAMESPACE}/many", repo_type="dataset")
    api.upload_folder(folder_path=str(folder), repo_id=f"{NAMESPACE}/many", repo_type="dataset", path_in_repo="data")
    names = api.list_repo_files(f"{NAMESPACE}/many", repo_type="dataset")
    assert len(names) == 300 and "data/part-6/293.jsonl" in names, len(names)
    top = [one.path for one in api.list_repo_tree(f"{NAMESPACE}/many", "data", repo_type="dataset")]
    assert top == [f"data/part-{number}" for number in range(7)], top
    local = snapshot_download(f"{NAMESPACE}/many", repo_type="dataset", endpoint=ENDPOINT, token=False,
                              allow_patterns="data/part-0/*")
    assert len(list(pathlib.Path(local).glob("data/part-0/*.jsonl"))) == 43
    before = api.repo_info(f"{NAMESPACE}/many", repo_type="dataset").sha
    commit = api.create_commit(
        f"{NAMESPACE}/many",
        [
            CommitOperationDelete("data/part-1/", is_folder=True),
            CommitOperationDelete("data/part-2/2.jsonl"),
            CommitOperationAdd("data/new.jsonl", b"{}\n"),
        ],
        commit_message="Less",
        repo_type="dataset",
        parent_commit=before,
    )
    assert commit.oid != before, commit
    left = api.list_repo_files(f"{NAMESPACE}/many", repo_type="dataset")
    assert len(left) == 300 - 43 - 1 + 1 and "data/new.jsonl" in left, len(left)
    stale = refused(HfHubHTTPError, lambda: api.create_commit(
        f"{NAMESPACE}/many", [CommitOperationAdd("late", b"x")], commit_message="Late", repo_type="dataset",
        parent_commit=before))
    assert stale.response.status_code in (409, 412), stale
    old = api.list_repo_files(f"{NAMESPACE}/many", repo_type="dataset", revision=before)
    assert len(old) == 300, "a commit stays as it was"


def adapter():
    """Trains on what was uploaded and downloads the adapter at the revision of its job."""
    wire.register(NAMESPACE, "train")
    wire.deploy(NAMESPACE)
    name, revision = wire.train(NAMESPACE, "train").split("@")
    put(wire.evaluation_rows(30), "eval_data.jsonl")
    score = wire.evaluate(f"{name}@{revision}", NAMESPACE, "train", 30)
    assert score > 0.8, score
    local = snapshot_download(name, revision=revision, endpoint=ENDPOINT, token=False)
    names = {path.name for path in pathlib.Path(local).iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names, names
    config = json.loads(pathlib.Path(local, "adapter_config.json").read_text())
    assert config, "an adapter config"
    assert pathlib.Path(local, "adapter_model.safetensors").stat().st_size > 100
    info = api.model_info(name, revision=revision)
    assert info.id == name and {one.rfilename for one in info.siblings} == names, info
    branches = [branch.name for branch in api.list_repo_refs(name).branches]
    assert revision in branches, branches
    assert api.file_exists(name, "adapter_config.json", revision=revision)
    assert not api.file_exists(name, "absent.json", revision=revision)


def errors():
    """What is not there."""
    refused(RepositoryNotFoundError, lambda: api.dataset_info(f"{NAMESPACE}/absent"))
    refused(RevisionNotFoundError, lambda: api.dataset_info(f"{NAMESPACE}/train", revision="absent"))
    refused(EntryNotFoundError, lambda: api.hf_hub_download(f"{NAMESPACE}/train", "absent", repo_type="dataset"))
    refused(RepositoryNotFoundError, lambda: put(b"x", "x", "absent"))


def delete():
    """Files and repositories go, once."""
    api.delete_file("README.md", f"{NAMESPACE}/train", repo_type="dataset")
    assert "README.md" not in api.list_repo_files(f"{NAMESPACE}/train", repo_type="dataset")
    for name in ("train", "large", "many"):
        api.delete_repo(f"{NAMESPACE}/{name}", repo_type="dataset")
    api.delete_repo(f"{NAMESPACE}/model")
    api.delete_repo(f"{NAMESPACE}/train", repo_type="dataset", missing_ok=True)
    refused(RepositoryNotFoundError, lambda: api.delete_repo(f"{NAMESPACE}/train", repo_type="dataset"))
    assert not api.repo_exists(f"{NAMESPACE}/large", repo_type="dataset")


for step in (create, small_files, large_file, many_files, adapter, errors, delete):
    print(step.__name__, flush=True)
    step()
