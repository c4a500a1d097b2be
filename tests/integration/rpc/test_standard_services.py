"""Health, reflection, metrics, TLS: what machinery and generic clients expect of any gRPC server."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import trustme
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from service.api.rpc.application import NAME
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.api.rpc.v1 import segmentation_pb2_grpc as pb_grpc
from tests.integration.rpc.conftest import nifti_request
from tests.servers.gateway import RunningGateway, StartGateway

SERVING = health_pb2.HealthCheckResponse.SERVING


async def test_models_are_those_of_rest(gateway: RunningGateway, stub: Any) -> None:
    model, *others = (await stub.ListModels(pb.ListModelsRequest())).models
    same, *same_others = (await gateway.get("/v1/models")).json()["models"]
    assert [(o.task, o.ready) for o in others] == [(o["task"], o["ready"]) for o in same_others]
    for name in ("task", "title", "ready", "reason", "version", "digest", "contract"):
        assert getattr(model, name) == same[name]
    assert [m.slug for m in model.modalities] == [m["slug"] for m in same["modalities"]]
    assert [(label.value, label.slug) for label in model.labels] == [(lb["value"], lb["slug"]) for lb in same["labels"]]
    assert model.limits.study_bytes == same["limits"]["body_bytes"]
    assert model.defaults.num_steps == same["defaults"]["num_steps"]


async def test_health(gateway: RunningGateway, start_gateway: StartGateway) -> None:
    async with grpc.aio.insecure_channel(gateway.rpc_address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", NAME):
            assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Check(health_pb2.HealthCheckRequest(service="nothing"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        watch.cancel()
    async with (
        start_gateway(triton={"url": "127.0.0.1:1"}) as lost,
        grpc.aio.insecure_channel(lost.rpc_address) as channel,
    ):
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


def ask_by_reflection(address: str) -> tuple[list[str], Any]:
    """Call a method knowing nothing but the address."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = list(database.get_services())
        pool = DescriptorPool(database)
        method = pool.FindServiceByName(NAME).FindMethodByName("ListModels")
        call = channel.unary_unary(
            f"/{NAME}/{method.name}",
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return services, call(GetMessageClass(method.input_type)(), timeout=20)


async def test_reflection_serves_clients_that_know_nothing(gateway: RunningGateway) -> None:
    services, answer = await asyncio.to_thread(ask_by_reflection, gateway.rpc_address)
    assert {NAME, "grpc.health.v1.Health"} <= set(services)
    assert answer.models[0].task == "oncology"
    buf = Path(sys.executable).parent / "buf"
    process = await asyncio.create_subprocess_exec(
        str(buf), "curl", "--http2-prior-knowledge", "--protocol", "grpc",
        f"http://{gateway.rpc_address}/{NAME}/ListModels",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert json.loads(told)["models"][0]["task"] == "oncology"


async def test_metrics_count_calls(start_gateway: StartGateway) -> None:
    async with start_gateway() as own, grpc.aio.insecure_channel(own.rpc_address) as channel:
        stub: Any = pb_grpc.SegmentationServiceStub(channel)
        await stub.ListModels(pb.ListModelsRequest())
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.GetJob(pb.GetJobRequest(job_id="nobody"))
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary("/made.up/Name")(b"")
        text = (await own.get("/metrics")).text
    assert f'entrust_rpc_requests_total{{code="OK",method="{NAME}/ListModels"}} 1.0' in text
    assert f'entrust_rpc_requests_total{{code="NOT_FOUND",method="{NAME}/GetJob"}} 1.0' in text
    assert 'entrust_rpc_requests_total{code="UNIMPLEMENTED",method="unmatched"} 1.0' in text
    assert f'entrust_rpc_request_duration_seconds_count{{method="{NAME}/ListModels"}} 1.0' in text
    assert 'entrust_problems_total{kind="not-found"} 1.0' in text
    assert "made.up" not in text


async def test_clients_without_a_certificate_are_kept_out(start_gateway: StartGateway, tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("client@example.org")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    authority.cert_pem.write_to_path(tmp_path / "chain.pem", append=True)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = {
        "certificate_file": tmp_path / "chain.pem", "key_file": tmp_path / "key.pem",
        "client_ca_file": tmp_path / "ca.pem",
    }  # fmt: skip
    root = authority.cert_pem.bytes()
    async with start_gateway(tls=tls) as own:
        known = grpc.ssl_channel_credentials(root, client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes())
        async with grpc.aio.secure_channel(own.rpc_address, known) as channel:
            assert (await pb_grpc.SegmentationServiceStub(channel).ListModels(pb.ListModelsRequest())).models
        async with grpc.aio.secure_channel(own.rpc_address, grpc.ssl_channel_credentials(root)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await pb_grpc.SegmentationServiceStub(channel).ListModels(pb.ListModelsRequest(), timeout=10)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)):
            await own.get("/health/live")


async def test_tls_guards_both_faces(start_gateway: StartGateway, tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(tmp_path / "chain.pem", append=True)
    authority.cert_pem.write_to_path(tmp_path / "chain.pem", append=True)
    tls = {"certificate_file": tmp_path / "chain.pem", "key_file": tmp_path / "key.pem"}
    async with start_gateway(tls=tls) as own:
        assert str(own.base_url).startswith("https://")
        assert (await own.get("/health/ready")).status_code == 200
        trusted = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        async with grpc.aio.secure_channel(own.rpc_address, trusted) as channel:
            stub: Any = pb_grpc.SegmentationServiceStub(channel)
            assert (await stub.Segment(nifti_request())).job.state == pb.JOB_STATE_SUCCEEDED
        strangers = grpc.ssl_channel_credentials(trustme.CA().cert_pem.bytes())
        for channel in (
            grpc.aio.secure_channel(own.rpc_address, strangers),
            grpc.aio.insecure_channel(own.rpc_address),
        ):
            async with channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await pb_grpc.SegmentationServiceStub(channel).ListModels(pb.ListModelsRequest(), timeout=10)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
