"""The descriptors of all .proto files, for reflection. Written by scripts/grpc-descriptors; never edited."""

from __future__ import annotations

from typing import Final, NamedTuple


class File(NamedTuple):
    """One .proto file: the files that it imports, the names that it declares, its FileDescriptorProto."""

    imports: tuple[str, ...]
    symbols: tuple[str, ...]
    descriptor: bytes


FILES: Final[dict[str, File]] = {
    "dapr/proto/common/v1/common.proto": File(
        (),
        (
            "dapr.proto.common.v1.StateItem",
            "dapr.proto.common.v1.StateItem.MetadataEntry",
            "dapr.proto.common.v1.Etag",
            "dapr.proto.common.v1.StateOptions",
            "dapr.proto.common.v1.StateOptions.StateConcurrency",
            "dapr.proto.common.v1.StateOptions.StateConsistency",
        ),
        b"\n!dapr/proto/common/v1/com"
        b"mon.proto\x12\x14dapr.proto.comm"
        b'on.v1"\xa9\x02\n\tStateItem\x12\x10\n\x03key'
        b"\x18\x01 \x01(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\x0c"
        b"R\x05value\x12.\n\x04etag\x18\x03 \x01(\x0b2\x1a.da"
        b"pr.proto.common.v1.EtagR\x04e"
        b"tag\x12I\n\x08metadata\x18\x04 \x03(\x0b2-.da"
        b"pr.proto.common.v1.StateIt"
        b"em.MetadataEntryR\x08metadata"
        b'\x12<\n\x07options\x18\x05 \x01(\x0b2".dapr.p'
        b"roto.common.v1.StateOption"
        b"sR\x07options\x1a;\n\rMetadataEntr"
        b"y\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n\x05val"
        b'ue\x18\x02 \x01(\tR\x05value:\x028\x01"\x1c\n\x04Eta'
        b'g\x12\x14\n\x05value\x18\x01 \x01(\tR\x05value"\x89\x03'
        b"\n\x0cStateOptions\x12U\n\x0bconcurre"
        b"ncy\x18\x01 \x01(\x0e23.dapr.proto.com"
        b"mon.v1.StateOptions.StateC"
        b"oncurrencyR\x0bconcurrency\x12U\n"
        b"\x0bconsistency\x18\x02 \x01(\x0e23.dapr."
        b"proto.common.v1.StateOptio"
        b"ns.StateConsistencyR\x0bconsi"
        b'stency"h\n\x10StateConcurrency'
        b"\x12\x1b\n\x17CONCURRENCY_UNSPECIFIE"
        b"D\x10\x00\x12\x1b\n\x17CONCURRENCY_FIRST_W"
        b"RITE\x10\x01\x12\x1a\n\x16CONCURRENCY_LAST"
        b'_WRITE\x10\x02"a\n\x10StateConsisten'
        b"cy\x12\x1b\n\x17CONSISTENCY_UNSPECIF"
        b"IED\x10\x00\x12\x18\n\x14CONSISTENCY_EVENT"
        b"UAL\x10\x01\x12\x16\n\x12CONSISTENCY_STRON"
        b"G\x10\x02b\x06proto3",
    ),
    "google/protobuf/any.proto": File(
        (),
        ("google.protobuf.Any",),
        b"\n\x19google/protobuf/any.prot"
        b'o\x12\x0fgoogle.protobuf"6\n\x03Any\x12'
        b"\x19\n\x08type_url\x18\x01 \x01(\tR\x07typeUrl"
        b"\x12\x14\n\x05value\x18\x02 \x01(\x0cR\x05valueBv\n\x13"
        b"com.google.protobufB\x08AnyPr"
        b"otoP\x01Z,google.golang.org/p"
        b"rotobuf/types/known/anypb\xa2"
        b"\x02\x03GPB\xaa\x02\x1eGoogle.Protobuf.We"
        b"llKnownTypesb\x06proto3",
    ),
    "google/protobuf/empty.proto": File(
        (),
        ("google.protobuf.Empty",),
        b"\n\x1bgoogle/protobuf/empty.pr"
        b'oto\x12\x0fgoogle.protobuf"\x07\n\x05Em'
        b"ptyB}\n\x13com.google.protobuf"
        b"B\nEmptyProtoP\x01Z.google.gol"
        b"ang.org/protobuf/types/kno"
        b"wn/emptypb\xf8\x01\x01\xa2\x02\x03GPB\xaa\x02\x1eGoog"
        b"le.Protobuf.WellKnownTypes"
        b"b\x06proto3",
    ),
    "dapr/proto/runtime/v1/dapr.proto": File(
        ("dapr/proto/common/v1/common.proto", "google/protobuf/any.proto", "google/protobuf/empty.proto"),
        (
            "dapr.proto.runtime.v1.QueryStateRequest",
            "dapr.proto.runtime.v1.QueryStateRequest.MetadataEntry",
            "dapr.proto.runtime.v1.QueryStateResponse",
            "dapr.proto.runtime.v1.GetStateRequest",
            "dapr.proto.runtime.v1.GetStateRequest.MetadataEntry",
            "dapr.proto.runtime.v1.GetStateResponse",
            "dapr.proto.runtime.v1.GetStateResponse.MetadataEntry",
            "dapr.proto.runtime.v1.GetBulkStateRequest",
            "dapr.proto.runtime.v1.GetBulkStateRequest.MetadataEntry",
            "dapr.proto.runtime.v1.GetBulkStateResponse",
            "dapr.proto.runtime.v1.BulkStateItem",
            "dapr.proto.runtime.v1.BulkStateItem.MetadataEntry",
            "dapr.proto.runtime.v1.SaveStateRequest",
            "dapr.proto.runtime.v1.DeleteStateRequest",
            "dapr.proto.runtime.v1.DeleteStateRequest.MetadataEntry",
            "dapr.proto.runtime.v1.DeleteBulkStateRequest",
            "dapr.proto.runtime.v1.TransactionalStateOperation",
            "dapr.proto.runtime.v1.ExecuteStateTransactionRequest",
            "dapr.proto.runtime.v1.ExecuteStateTransactionRequest.MetadataEntry",
            "dapr.proto.runtime.v1.GetActorStateRequest",
            "dapr.proto.runtime.v1.GetActorStateResponse",
            "dapr.proto.runtime.v1.GetActorStateResponse.MetadataEntry",
            "dapr.proto.runtime.v1.ExecuteActorStateTransactionRequest",
            "dapr.proto.runtime.v1.TransactionalActorStateOperation",
            "dapr.proto.runtime.v1.TransactionalActorStateOperation.MetadataEntry",
            "dapr.proto.runtime.v1.GetMetadataRequest",
            "dapr.proto.runtime.v1.GetMetadataResponse",
            "dapr.proto.runtime.v1.GetMetadataResponse.ExtendedMetadataEntry",
            "dapr.proto.runtime.v1.ActorRuntime",
            "dapr.proto.runtime.v1.ActorRuntime.ActorRuntimeStatus",
            "dapr.proto.runtime.v1.RegisteredComponents",
            "dapr.proto.runtime.v1.AppConnectionProperties",
            "dapr.proto.runtime.v1.SetMetadataRequest",
            "dapr.proto.runtime.v1.ShutdownRequest",
            "dapr.proto.runtime.v1.Dapr",
            "dapr.proto.runtime.v1.Dapr.GetState",
            "dapr.proto.runtime.v1.Dapr.GetBulkState",
            "dapr.proto.runtime.v1.Dapr.SaveState",
            "dapr.proto.runtime.v1.Dapr.DeleteState",
            "dapr.proto.runtime.v1.Dapr.DeleteBulkState",
            "dapr.proto.runtime.v1.Dapr.ExecuteStateTransaction",
            "dapr.proto.runtime.v1.Dapr.QueryStateAlpha1",
            "dapr.proto.runtime.v1.Dapr.GetActorState",
            "dapr.proto.runtime.v1.Dapr.ExecuteActorStateTransaction",
            "dapr.proto.runtime.v1.Dapr.GetMetadata",
            "dapr.proto.runtime.v1.Dapr.SetMetadata",
            "dapr.proto.runtime.v1.Dapr.Shutdown",
        ),
        b"\n dapr/proto/runtime/v1/da"
        b"pr.proto\x12\x15dapr.proto.runti"
        b"me.v1\x1a!dapr/proto/common/v"
        b"1/common.proto\x1a\x19google/pro"
        b"tobuf/any.proto\x1a\x1bgoogle/pr"
        b'otobuf/empty.proto"\xd9\x01\n\x11Que'
        b"ryStateRequest\x12\x1d\n\nstore_na"
        b"me\x18\x01 \x01(\tR\tstoreName\x12\x14\n\x05que"
        b"ry\x18\x02 \x01(\tR\x05query\x12R\n\x08metadat"
        b"a\x18\x03 \x03(\x0b26.dapr.proto.runti"
        b"me.v1.QueryStateRequest.Me"
        b"tadataEntryR\x08metadata\x1a;\n\rM"
        b"etadataEntry\x12\x10\n\x03key\x18\x01 \x01(\tR"
        b"\x03key\x12\x14\n\x05value\x18\x02 \x01(\tR\x05value"
        b':\x028\x01"*\n\x12QueryStateResponse'
        b'\x12\x14\n\x05token\x18\x02 \x01(\tR\x05token"\xa8\x02\n'
        b"\x0fGetStateRequest\x12\x1d\n\nstore_"
        b"name\x18\x01 \x01(\tR\tstoreName\x12\x10\n\x03k"
        b"ey\x18\x02 \x01(\tR\x03key\x12U\n\x0bconsisten"
        b"cy\x18\x03 \x01(\x0e23.dapr.proto.comm"
        b"on.v1.StateOptions.StateCo"
        b"nsistencyR\x0bconsistency\x12P\n\x08"
        b"metadata\x18\x04 \x03(\x0b24.dapr.prot"
        b"o.runtime.v1.GetStateReque"
        b"st.MetadataEntryR\x08metadata"
        b"\x1a;\n\rMetadataEntry\x12\x10\n\x03key\x18\x01"
        b" \x01(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\tR\x05"
        b'value:\x028\x01"\xca\x01\n\x10GetStateResp'
        b"onse\x12\x12\n\x04data\x18\x01 \x01(\x0cR\x04data\x12\x12"
        b"\n\x04etag\x18\x02 \x01(\tR\x04etag\x12Q\n\x08meta"
        b"data\x18\x03 \x03(\x0b25.dapr.proto.ru"
        b"ntime.v1.GetStateResponse."
        b"MetadataEntryR\x08metadata\x1a;\n"
        b"\rMetadataEntry\x12\x10\n\x03key\x18\x01 \x01("
        b"\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\tR\x05val"
        b'ue:\x028\x01"\xfd\x01\n\x13GetBulkStateReq'
        b"uest\x12\x1d\n\nstore_name\x18\x01 \x01(\tR\t"
        b"storeName\x12\x12\n\x04keys\x18\x02 \x03(\tR\x04k"
        b"eys\x12 \n\x0bparallelism\x18\x03 \x01(\x05R\x0b"
        b"parallelism\x12T\n\x08metadata\x18\x04 "
        b"\x03(\x0b28.dapr.proto.runtime.v"
        b"1.GetBulkStateRequest.Meta"
        b"dataEntryR\x08metadata\x1a;\n\rMet"
        b"adataEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03k"
        b"ey\x12\x14\n\x05value\x18\x02 \x01(\tR\x05value:\x02"
        b'8\x01"R\n\x14GetBulkStateResponse'
        b"\x12:\n\x05items\x18\x01 \x03(\x0b2$.dapr.pro"
        b"to.runtime.v1.BulkStateIte"
        b'mR\x05items"\xec\x01\n\rBulkStateItem'
        b"\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12\x12\n\x04data"
        b"\x18\x02 \x01(\x0cR\x04data\x12\x12\n\x04etag\x18\x03 \x01(\t"
        b"R\x04etag\x12\x14\n\x05error\x18\x04 \x01(\tR\x05err"
        b"or\x12N\n\x08metadata\x18\x05 \x03(\x0b22.dap"
        b"r.proto.runtime.v1.BulkSta"
        b"teItem.MetadataEntryR\x08meta"
        b"data\x1a;\n\rMetadataEntry\x12\x10\n\x03k"
        b"ey\x18\x01 \x01(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01"
        b'(\tR\x05value:\x028\x01"j\n\x10SaveState'
        b"Request\x12\x1d\n\nstore_name\x18\x01 \x01("
        b"\tR\tstoreName\x127\n\x06states\x18\x02 \x03"
        b"(\x0b2\x1f.dapr.proto.common.v1."
        b'StateItemR\x06states"\xc5\x02\n\x12Dele'
        b"teStateRequest\x12\x1d\n\nstore_na"
        b"me\x18\x01 \x01(\tR\tstoreName\x12\x10\n\x03key"
        b"\x18\x02 \x01(\tR\x03key\x12.\n\x04etag\x18\x03 \x01(\x0b2"
        b"\x1a.dapr.proto.common.v1.Eta"
        b'gR\x04etag\x12<\n\x07options\x18\x04 \x01(\x0b2"'
        b".dapr.proto.common.v1.Stat"
        b"eOptionsR\x07options\x12S\n\x08metad"
        b"ata\x18\x05 \x03(\x0b27.dapr.proto.run"
        b"time.v1.DeleteStateRequest"
        b".MetadataEntryR\x08metadata\x1a;"
        b"\n\rMetadataEntry\x12\x10\n\x03key\x18\x01 \x01"
        b"(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\tR\x05va"
        b'lue:\x028\x01"p\n\x16DeleteBulkState'
        b"Request\x12\x1d\n\nstore_name\x18\x01 \x01("
        b"\tR\tstoreName\x127\n\x06states\x18\x02 \x03"
        b"(\x0b2\x1f.dapr.proto.common.v1."
        b'StateItemR\x06states"~\n\x1bTrans'
        b"actionalStateOperation\x12$\n\r"
        b"operationType\x18\x01 \x01(\tR\ropera"
        b"tionType\x129\n\x07request\x18\x02 \x01(\x0b2"
        b"\x1f.dapr.proto.common.v1.Sta"
        b'teItemR\x07request"\xb0\x02\n\x1eExecut'
        b"eStateTransactionRequest\x12\x1c"
        b"\n\tstoreName\x18\x01 \x01(\tR\tstoreNa"
        b"me\x12R\n\noperations\x18\x02 \x03(\x0b22.d"
        b"apr.proto.runtime.v1.Trans"
        b"actionalStateOperationR\nop"
        b"erations\x12_\n\x08metadata\x18\x03 \x03(\x0b"
        b"2C.dapr.proto.runtime.v1.E"
        b"xecuteStateTransactionRequ"
        b"est.MetadataEntryR\x08metadat"
        b"a\x1a;\n\rMetadataEntry\x12\x10\n\x03key\x18"
        b"\x01 \x01(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\tR"
        b'\x05value:\x028\x01"b\n\x14GetActorStat'
        b"eRequest\x12\x1d\n\nactor_type\x18\x01 \x01"
        b"(\tR\tactorType\x12\x19\n\x08actor_id\x18"
        b"\x02 \x01(\tR\x07actorId\x12\x10\n\x03key\x18\x03 \x01("
        b'\tR\x03key"\xc0\x01\n\x15GetActorStateRe'
        b"sponse\x12\x12\n\x04data\x18\x01 \x01(\x0cR\x04data"
        b"\x12V\n\x08metadata\x18\x02 \x03(\x0b2:.dapr."
        b"proto.runtime.v1.GetActorS"
        b"tateResponse.MetadataEntry"
        b"R\x08metadata\x1a;\n\rMetadataEntr"
        b"y\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n\x05val"
        b'ue\x18\x02 \x01(\tR\x05value:\x028\x01"\xb8\x01\n#Ex'
        b"ecuteActorStateTransaction"
        b"Request\x12\x1d\n\nactor_type\x18\x01 \x01("
        b"\tR\tactorType\x12\x19\n\x08actor_id\x18\x02"
        b" \x01(\tR\x07actorId\x12W\n\noperation"
        b"s\x18\x03 \x03(\x0b27.dapr.proto.runti"
        b"me.v1.TransactionalActorSt"
        b'ateOperationR\noperations"\xa6'
        b"\x02\n TransactionalActorState"
        b"Operation\x12$\n\roperationType"
        b"\x18\x01 \x01(\tR\roperationType\x12\x10\n\x03k"
        b"ey\x18\x02 \x01(\tR\x03key\x12*\n\x05value\x18\x03 \x01"
        b"(\x0b2\x14.google.protobuf.AnyR\x05"
        b"value\x12a\n\x08metadata\x18\x04 \x03(\x0b2E."
        b"dapr.proto.runtime.v1.Tran"
        b"sactionalActorStateOperati"
        b"on.MetadataEntryR\x08metadata"
        b"\x1a;\n\rMetadataEntry\x12\x10\n\x03key\x18\x01"
        b" \x01(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\tR\x05"
        b'value:\x028\x01"\x14\n\x12GetMetadataRe'
        b'quest"\x88\x04\n\x13GetMetadataRespo'
        b"nse\x12\x0e\n\x02id\x18\x01 \x01(\tR\x02id\x12V\n\x15reg"
        b"istered_components\x18\x03 \x03(\x0b2+"
        b".dapr.proto.runtime.v1.Reg"
        b"isteredComponentsR\ncompone"
        b"nts\x12e\n\x11extended_metadata\x18\x04"
        b" \x03(\x0b2@.dapr.proto.runtime."
        b"v1.GetMetadataResponse.Ext"
        b"endedMetadataEntryR\x08extend"
        b"ed\x12j\n\x19app_connection_prope"
        b"rties\x18\x07 \x01(\x0b2..dapr.proto.r"
        b"untime.v1.AppConnectionPro"
        b"pertiesR\x17appConnectionProp"
        b"erties\x12'\n\x0fruntime_version\x18"
        b"\x08 \x01(\tR\x0eruntimeVersion\x12H\n\ra"
        b"ctor_runtime\x18\n \x01(\x0b2#.dapr."
        b"proto.runtime.v1.ActorRunt"
        b"imeR\x0cactorRuntime\x1aC\n\x15Exten"
        b"dedMetadataEntry\x12\x10\n\x03key\x18\x01 "
        b"\x01(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\tR\x05v"
        b'alue:\x028\x01"\xed\x01\n\x0cActorRuntime\x12'
        b"]\n\x0eruntime_status\x18\x01 \x01(\x0e26."
        b"dapr.proto.runtime.v1.Acto"
        b"rRuntime.ActorRuntimeStatu"
        b"sR\rruntimeStatus\x12\x1d\n\nhost_r"
        b"eady\x18\x03 \x01(\x08R\thostReady\x12\x1c\n\tp"
        b'lacement\x18\x04 \x01(\tR\tplacement"'
        b"A\n\x12ActorRuntimeStatus\x12\x10\n\x0cI"
        b"NITIALIZING\x10\x00\x12\x0c\n\x08DISABLED\x10"
        b'\x01\x12\x0b\n\x07RUNNING\x10\x02"|\n\x14Register'
        b"edComponents\x12\x12\n\x04name\x18\x01 \x01(\t"
        b"R\x04name\x12\x12\n\x04type\x18\x02 \x01(\tR\x04type"
        b"\x12\x18\n\x07version\x18\x03 \x01(\tR\x07version"
        b'\x12"\n\x0ccapabilities\x18\x04 \x03(\tR\x0cca'
        b'pabilities"r\n\x17AppConnectio'
        b"nProperties\x12\x12\n\x04port\x18\x01 \x01(\x05R"
        b"\x04port\x12\x1a\n\x08protocol\x18\x02 \x01(\tR\x08p"
        b"rotocol\x12'\n\x0fchannel_address"
        b'\x18\x03 \x01(\tR\x0echannelAddress"<\n\x12'
        b"SetMetadataRequest\x12\x10\n\x03key\x18"
        b"\x01 \x01(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\tR"
        b'\x05value"\x11\n\x0fShutdownRequest2'
        b"\xfd\x08\n\x04Dapr\x12[\n\x08GetState\x12&.dap"
        b"r.proto.runtime.v1.GetStat"
        b"eRequest\x1a'.dapr.proto.runt"
        b"ime.v1.GetStateResponse\x12g\n"
        b"\x0cGetBulkState\x12*.dapr.proto"
        b".runtime.v1.GetBulkStateRe"
        b"quest\x1a+.dapr.proto.runtime"
        b".v1.GetBulkStateResponse\x12L"
        b"\n\tSaveState\x12'.dapr.proto.r"
        b"untime.v1.SaveStateRequest"
        b"\x1a\x16.google.protobuf.Empty\x12P"
        b"\n\x0bDeleteState\x12).dapr.proto"
        b".runtime.v1.DeleteStateReq"
        b"uest\x1a\x16.google.protobuf.Emp"
        b"ty\x12X\n\x0fDeleteBulkState\x12-.da"
        b"pr.proto.runtime.v1.Delete"
        b"BulkStateRequest\x1a\x16.google."
        b"protobuf.Empty\x12h\n\x17ExecuteS"
        b"tateTransaction\x125.dapr.pro"
        b"to.runtime.v1.ExecuteState"
        b"TransactionRequest\x1a\x16.googl"
        b"e.protobuf.Empty\x12g\n\x10QueryS"
        b"tateAlpha1\x12(.dapr.proto.ru"
        b"ntime.v1.QueryStateRequest"
        b"\x1a).dapr.proto.runtime.v1.Q"
        b"ueryStateResponse\x12j\n\rGetAc"
        b"torState\x12+.dapr.proto.runt"
        b"ime.v1.GetActorStateReques"
        b"t\x1a,.dapr.proto.runtime.v1."
        b"GetActorStateResponse\x12r\n\x1cE"
        b"xecuteActorStateTransactio"
        b"n\x12:.dapr.proto.runtime.v1."
        b"ExecuteActorStateTransacti"
        b"onRequest\x1a\x16.google.protobu"
        b"f.Empty\x12d\n\x0bGetMetadata\x12).d"
        b"apr.proto.runtime.v1.GetMe"
        b"tadataRequest\x1a*.dapr.proto"
        b".runtime.v1.GetMetadataRes"
        b"ponse\x12P\n\x0bSetMetadata\x12).dap"
        b"r.proto.runtime.v1.SetMeta"
        b"dataRequest\x1a\x16.google.proto"
        b"buf.Empty\x12J\n\x08Shutdown\x12&.da"
        b"pr.proto.runtime.v1.Shutdo"
        b"wnRequest\x1a\x16.google.protobu"
        b"f.Emptyb\x06proto3",
    ),
    "grpc/health/v1/health.proto": File(
        (),
        (
            "grpc.health.v1.HealthCheckRequest",
            "grpc.health.v1.HealthCheckResponse",
            "grpc.health.v1.HealthCheckResponse.ServingStatus",
            "grpc.health.v1.Health",
            "grpc.health.v1.Health.Check",
            "grpc.health.v1.Health.Watch",
        ),
        b"\n\x1bgrpc/health/v1/health.pr"
        b'oto\x12\x0egrpc.health.v1".\n\x12Hea'
        b"lthCheckRequest\x12\x18\n\x07service"
        b'\x18\x01 \x01(\tR\x07service"\xb1\x01\n\x13Health'
        b"CheckResponse\x12I\n\x06status\x18\x01 "
        b"\x01(\x0e21.grpc.health.v1.Healt"
        b"hCheckResponse.ServingStat"
        b'usR\x06status"O\n\rServingStatu'
        b"s\x12\x0b\n\x07UNKNOWN\x10\x00\x12\x0b\n\x07SERVING\x10"
        b"\x01\x12\x0f\n\x0bNOT_SERVING\x10\x02\x12\x13\n\x0fSERV"
        b"ICE_UNKNOWN\x10\x032\xae\x01\n\x06Health\x12P"
        b'\n\x05Check\x12".grpc.health.v1.H'
        b"ealthCheckRequest\x1a#.grpc.h"
        b"ealth.v1.HealthCheckRespon"
        b'se\x12R\n\x05Watch\x12".grpc.health.'
        b"v1.HealthCheckRequest\x1a#.gr"
        b"pc.health.v1.HealthCheckRe"
        b"sponse0\x01b\x06proto3",
    ),
    "grpc/reflection/v1/reflection.proto": File(
        (),
        (
            "grpc.reflection.v1.ServerReflectionRequest",
            "grpc.reflection.v1.ExtensionRequest",
            "grpc.reflection.v1.ServerReflectionResponse",
            "grpc.reflection.v1.FileDescriptorResponse",
            "grpc.reflection.v1.ListServiceResponse",
            "grpc.reflection.v1.ServiceResponse",
            "grpc.reflection.v1.ErrorResponse",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1.ServerReflection.ServerReflectionInfo",
        ),
        b"\n#grpc/reflection/v1/refle"
        b"ction.proto\x12\x12grpc.reflecti"
        b'on.v1"\xf3\x02\n\x17ServerReflection'
        b"Request\x12\x12\n\x04host\x18\x01 \x01(\tR\x04hos"
        b"t\x12*\n\x10file_by_filename\x18\x03 \x01("
        b"\tH\x00R\x0efileByFilename\x126\n\x16fil"
        b"e_containing_symbol\x18\x04 \x01(\tH"
        b"\x00R\x14fileContainingSymbol\x12b\n"
        b"\x19file_containing_extension"
        b"\x18\x05 \x01(\x0b2$.grpc.reflection.v"
        b"1.ExtensionRequestH\x00R\x17file"
        b"ContainingExtension\x12B\n\x1dall"
        b"_extension_numbers_of_type"
        b"\x18\x06 \x01(\tH\x00R\x19allExtensionNumb"
        b"ersOfType\x12%\n\rlist_services"
        b"\x18\x07 \x01(\tH\x00R\x0clistServicesB\x11\n\x0f"
        b'message_request"f\n\x10Extensi'
        b"onRequest\x12'\n\x0fcontaining_ty"
        b"pe\x18\x01 \x01(\tR\x0econtainingType\x12)"
        b"\n\x10extension_number\x18\x02 \x01(\x05R\x0f"
        b'extensionNumber"\xba\x03\n\x18Server'
        b"ReflectionResponse\x12\x1d\n\nvali"
        b"d_host\x18\x01 \x01(\tR\tvalidHost\x12V\n"
        b"\x10original_request\x18\x02 \x01(\x0b2+."
        b"grpc.reflection.v1.ServerR"
        b"eflectionRequestR\x0foriginal"
        b"Request\x12f\n\x18file_descriptor"
        b"_response\x18\x04 \x01(\x0b2*.grpc.ref"
        b"lection.v1.FileDescriptorR"
        b"esponseH\x00R\x16fileDescriptorR"
        b"esponse\x12_\n\x16list_services_r"
        b"esponse\x18\x06 \x01(\x0b2'.grpc.refle"
        b"ction.v1.ListServiceRespon"
        b"seH\x00R\x14listServicesResponse"
        b"\x12J\n\x0eerror_response\x18\x07 \x01(\x0b2!"
        b".grpc.reflection.v1.ErrorR"
        b"esponseH\x00R\rerrorResponseB\x12"
        b'\n\x10message_response"L\n\x16File'
        b"DescriptorResponse\x122\n\x15file"
        b"_descriptor_proto\x18\x01 \x03(\x0cR\x13f"
        b'ileDescriptorProto"T\n\x13List'
        b"ServiceResponse\x12=\n\x07service"
        b"\x18\x01 \x03(\x0b2#.grpc.reflection.v"
        b"1.ServiceResponseR\x07service"
        b'"%\n\x0fServiceResponse\x12\x12\n\x04nam'
        b'e\x18\x01 \x01(\tR\x04name"S\n\rErrorResp'
        b"onse\x12\x1d\n\nerror_code\x18\x01 \x01(\x05R\t"
        b"errorCode\x12#\n\rerror_message"
        b"\x18\x02 \x01(\tR\x0cerrorMessage2\x89\x01\n\x10S"
        b"erverReflection\x12u\n\x14ServerR"
        b"eflectionInfo\x12+.grpc.refle"
        b"ction.v1.ServerReflectionR"
        b"equest\x1a,.grpc.reflection.v"
        b"1.ServerReflectionResponse"
        b"(\x010\x01b\x06proto3",
    ),
    "grpc/reflection/v1alpha/reflection.proto": File(
        (),
        (
            "grpc.reflection.v1alpha.ServerReflectionRequest",
            "grpc.reflection.v1alpha.ExtensionRequest",
            "grpc.reflection.v1alpha.ServerReflectionResponse",
            "grpc.reflection.v1alpha.FileDescriptorResponse",
            "grpc.reflection.v1alpha.ListServiceResponse",
            "grpc.reflection.v1alpha.ServiceResponse",
            "grpc.reflection.v1alpha.ErrorResponse",
            "grpc.reflection.v1alpha.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo",
        ),
        b"\n(grpc/reflection/v1alpha/"
        b"reflection.proto\x12\x17grpc.ref"
        b'lection.v1alpha"\xf8\x02\n\x17Server'
        b"ReflectionRequest\x12\x12\n\x04host\x18"
        b"\x01 \x01(\tR\x04host\x12*\n\x10file_by_fil"
        b"ename\x18\x03 \x01(\tH\x00R\x0efileByFilen"
        b"ame\x126\n\x16file_containing_sym"
        b"bol\x18\x04 \x01(\tH\x00R\x14fileContainin"
        b"gSymbol\x12g\n\x19file_containing"
        b"_extension\x18\x05 \x01(\x0b2).grpc.re"
        b"flection.v1alpha.Extension"
        b"RequestH\x00R\x17fileContainingE"
        b"xtension\x12B\n\x1dall_extension_"
        b"numbers_of_type\x18\x06 \x01(\tH\x00R\x19a"
        b"llExtensionNumbersOfType\x12%"
        b"\n\rlist_services\x18\x07 \x01(\tH\x00R\x0cl"
        b"istServicesB\x11\n\x0fmessage_req"
        b"uest\"f\n\x10ExtensionRequest\x12'"
        b"\n\x0fcontaining_type\x18\x01 \x01(\tR\x0ec"
        b"ontainingType\x12)\n\x10extension"
        b"_number\x18\x02 \x01(\x05R\x0fextensionNu"
        b'mber"\xce\x03\n\x18ServerReflectionR'
        b"esponse\x12\x1d\n\nvalid_host\x18\x01 \x01("
        b"\tR\tvalidHost\x12[\n\x10original_r"
        b"equest\x18\x02 \x01(\x0b20.grpc.reflec"
        b"tion.v1alpha.ServerReflect"
        b"ionRequestR\x0foriginalReques"
        b"t\x12k\n\x18file_descriptor_respo"
        b"nse\x18\x04 \x01(\x0b2/.grpc.reflectio"
        b"n.v1alpha.FileDescriptorRe"
        b"sponseH\x00R\x16fileDescriptorRe"
        b"sponse\x12d\n\x16list_services_re"
        b"sponse\x18\x06 \x01(\x0b2,.grpc.reflec"
        b"tion.v1alpha.ListServiceRe"
        b"sponseH\x00R\x14listServicesResp"
        b"onse\x12O\n\x0eerror_response\x18\x07 \x01"
        b"(\x0b2&.grpc.reflection.v1alp"
        b"ha.ErrorResponseH\x00R\rerrorR"
        b"esponseB\x12\n\x10message_respons"
        b'e"L\n\x16FileDescriptorRespons'
        b"e\x122\n\x15file_descriptor_proto"
        b"\x18\x01 \x03(\x0cR\x13fileDescriptorProt"
        b'o"Y\n\x13ListServiceResponse\x12B'
        b"\n\x07service\x18\x01 \x03(\x0b2(.grpc.ref"
        b"lection.v1alpha.ServiceRes"
        b'ponseR\x07service"%\n\x0fServiceR'
        b"esponse\x12\x12\n\x04name\x18\x01 \x01(\tR\x04nam"
        b'e"S\n\rErrorResponse\x12\x1d\n\nerro'
        b"r_code\x18\x01 \x01(\x05R\terrorCode\x12#\n"
        b"\rerror_message\x18\x02 \x01(\tR\x0cerro"
        b"rMessage2\x93\x01\n\x10ServerReflect"
        b"ion\x12\x7f\n\x14ServerReflectionInf"
        b"o\x120.grpc.reflection.v1alph"
        b"a.ServerReflectionRequest\x1a"
        b"1.grpc.reflection.v1alpha."
        b"ServerReflectionResponse(\x01"
        b"0\x01b\x06proto3",
    ),
    "spec/proto/runtime/v1/runtime.proto": File(
        ("google/protobuf/any.proto", "google/protobuf/empty.proto"),
        (
            "spec.proto.runtime.v1.SayHelloRequest",
            "spec.proto.runtime.v1.SayHelloResponse",
            "spec.proto.runtime.v1.GetStateRequest",
            "spec.proto.runtime.v1.GetStateRequest.MetadataEntry",
            "spec.proto.runtime.v1.GetStateResponse",
            "spec.proto.runtime.v1.GetStateResponse.MetadataEntry",
            "spec.proto.runtime.v1.GetBulkStateRequest",
            "spec.proto.runtime.v1.GetBulkStateRequest.MetadataEntry",
            "spec.proto.runtime.v1.GetBulkStateResponse",
            "spec.proto.runtime.v1.BulkStateItem",
            "spec.proto.runtime.v1.BulkStateItem.MetadataEntry",
            "spec.proto.runtime.v1.SaveStateRequest",
            "spec.proto.runtime.v1.DeleteStateRequest",
            "spec.proto.runtime.v1.DeleteStateRequest.MetadataEntry",
            "spec.proto.runtime.v1.DeleteBulkStateRequest",
            "spec.proto.runtime.v1.TransactionalStateOperation",
            "spec.proto.runtime.v1.ExecuteStateTransactionRequest",
            "spec.proto.runtime.v1.ExecuteStateTransactionRequest.MetadataEntry",
            "spec.proto.runtime.v1.StateItem",
            "spec.proto.runtime.v1.StateItem.MetadataEntry",
            "spec.proto.runtime.v1.Etag",
            "spec.proto.runtime.v1.StateOptions",
            "spec.proto.runtime.v1.StateOptions.StateConcurrency",
            "spec.proto.runtime.v1.StateOptions.StateConsistency",
            "spec.proto.runtime.v1.Runtime",
            "spec.proto.runtime.v1.Runtime.SayHello",
            "spec.proto.runtime.v1.Runtime.GetState",
            "spec.proto.runtime.v1.Runtime.GetBulkState",
            "spec.proto.runtime.v1.Runtime.SaveState",
            "spec.proto.runtime.v1.Runtime.DeleteState",
            "spec.proto.runtime.v1.Runtime.DeleteBulkState",
            "spec.proto.runtime.v1.Runtime.ExecuteStateTransaction",
        ),
        b"\n#spec/proto/runtime/v1/ru"
        b"ntime.proto\x12\x15spec.proto.ru"
        b"ntime.v1\x1a\x19google/protobuf/"
        b"any.proto\x1a\x1bgoogle/protobuf"
        b'/empty.proto"r\n\x0fSayHelloRe'
        b"quest\x12!\n\x0cservice_name\x18\x01 \x01("
        b"\tR\x0bserviceName\x12\x12\n\x04name\x18\x02 \x01"
        b"(\tR\x04name\x12(\n\x04data\x18\x03 \x01(\x0b2\x14.g"
        b'oogle.protobuf.AnyR\x04data"R'
        b"\n\x10SayHelloResponse\x12\x14\n\x05hell"
        b"o\x18\x01 \x01(\tR\x05hello\x12(\n\x04data\x18\x02 \x01"
        b"(\x0b2\x14.google.protobuf.AnyR\x04"
        b'data"\xa9\x02\n\x0fGetStateRequest\x12\x1d'
        b"\n\nstore_name\x18\x01 \x01(\tR\tstoreN"
        b"ame\x12\x10\n\x03key\x18\x02 \x01(\tR\x03key\x12V\n\x0bc"
        b"onsistency\x18\x03 \x01(\x0e24.spec.pr"
        b"oto.runtime.v1.StateOption"
        b"s.StateConsistencyR\x0bconsis"
        b"tency\x12P\n\x08metadata\x18\x04 \x03(\x0b24."
        b"spec.proto.runtime.v1.GetS"
        b"tateRequest.MetadataEntryR"
        b"\x08metadata\x1a;\n\rMetadataEntry"
        b"\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n\x05valu"
        b'e\x18\x02 \x01(\tR\x05value:\x028\x01"\xca\x01\n\x10Get'
        b"StateResponse\x12\x12\n\x04data\x18\x01 \x01("
        b"\x0cR\x04data\x12\x12\n\x04etag\x18\x02 \x01(\tR\x04eta"
        b"g\x12Q\n\x08metadata\x18\x03 \x03(\x0b25.spec"
        b".proto.runtime.v1.GetState"
        b"Response.MetadataEntryR\x08me"
        b"tadata\x1a;\n\rMetadataEntry\x12\x10\n"
        b"\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n\x05value\x18\x02"
        b' \x01(\tR\x05value:\x028\x01"\xfd\x01\n\x13GetBul'
        b"kStateRequest\x12\x1d\n\nstore_nam"
        b"e\x18\x01 \x01(\tR\tstoreName\x12\x12\n\x04keys"
        b"\x18\x02 \x03(\tR\x04keys\x12 \n\x0bparallelis"
        b"m\x18\x03 \x01(\x05R\x0bparallelism\x12T\n\x08me"
        b"tadata\x18\x04 \x03(\x0b28.spec.proto."
        b"runtime.v1.GetBulkStateReq"
        b"uest.MetadataEntryR\x08metada"
        b"ta\x1a;\n\rMetadataEntry\x12\x10\n\x03key"
        b"\x18\x01 \x01(\tR\x03key\x12\x14\n\x05value\x18\x02 \x01(\t"
        b'R\x05value:\x028\x01"R\n\x14GetBulkStat'
        b"eResponse\x12:\n\x05items\x18\x01 \x03(\x0b2$"
        b".spec.proto.runtime.v1.Bul"
        b'kStateItemR\x05items"\xec\x01\n\rBulk'
        b"StateItem\x12\x10\n\x03key\x18\x01 \x01(\tR\x03ke"
        b"y\x12\x12\n\x04data\x18\x02 \x01(\x0cR\x04data\x12\x12\n\x04e"
        b"tag\x18\x03 \x01(\tR\x04etag\x12\x14\n\x05error\x18\x04"
        b" \x01(\tR\x05error\x12N\n\x08metadata\x18\x05 "
        b"\x03(\x0b22.spec.proto.runtime.v"
        b"1.BulkStateItem.MetadataEn"
        b"tryR\x08metadata\x1a;\n\rMetadataE"
        b"ntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n\x05"
        b'value\x18\x02 \x01(\tR\x05value:\x028\x01"k\n\x10'
        b"SaveStateRequest\x12\x1d\n\nstore_"
        b"name\x18\x01 \x01(\tR\tstoreName\x128\n\x06s"
        b"tates\x18\x02 \x03(\x0b2 .spec.proto.r"
        b"untime.v1.StateItemR\x06state"
        b's"\xc7\x02\n\x12DeleteStateRequest\x12\x1d'
        b"\n\nstore_name\x18\x01 \x01(\tR\tstoreN"
        b"ame\x12\x10\n\x03key\x18\x02 \x01(\tR\x03key\x12/\n\x04e"
        b"tag\x18\x03 \x01(\x0b2\x1b.spec.proto.run"
        b"time.v1.EtagR\x04etag\x12=\n\x07opti"
        b"ons\x18\x04 \x01(\x0b2#.spec.proto.run"
        b"time.v1.StateOptionsR\x07opti"
        b"ons\x12S\n\x08metadata\x18\x05 \x03(\x0b27.sp"
        b"ec.proto.runtime.v1.Delete"
        b"StateRequest.MetadataEntry"
        b"R\x08metadata\x1a;\n\rMetadataEntr"
        b"y\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n\x05val"
        b'ue\x18\x02 \x01(\tR\x05value:\x028\x01"q\n\x16Del'
        b"eteBulkStateRequest\x12\x1d\n\nsto"
        b"re_name\x18\x01 \x01(\tR\tstoreName\x128"
        b"\n\x06states\x18\x02 \x03(\x0b2 .spec.prot"
        b"o.runtime.v1.StateItemR\x06st"
        b'ates"\x7f\n\x1bTransactionalState'
        b"Operation\x12$\n\roperationType"
        b"\x18\x01 \x01(\tR\roperationType\x12:\n\x07r"
        b"equest\x18\x02 \x01(\x0b2 .spec.proto."
        b"runtime.v1.StateItemR\x07requ"
        b'est"\xb0\x02\n\x1eExecuteStateTransa'
        b"ctionRequest\x12\x1c\n\tstoreName\x18"
        b"\x01 \x01(\tR\tstoreName\x12R\n\noperat"
        b"ions\x18\x02 \x03(\x0b22.spec.proto.ru"
        b"ntime.v1.TransactionalStat"
        b"eOperationR\noperations\x12_\n\x08"
        b"metadata\x18\x03 \x03(\x0b2C.spec.prot"
        b"o.runtime.v1.ExecuteStateT"
        b"ransactionRequest.Metadata"
        b"EntryR\x08metadata\x1a;\n\rMetadat"
        b"aEntry\x12\x10\n\x03key\x18\x01 \x01(\tR\x03key\x12\x14"
        b'\n\x05value\x18\x02 \x01(\tR\x05value:\x028\x01"\xac'
        b"\x02\n\tStateItem\x12\x10\n\x03key\x18\x01 \x01(\tR"
        b"\x03key\x12\x14\n\x05value\x18\x02 \x01(\x0cR\x05value"
        b"\x12/\n\x04etag\x18\x03 \x01(\x0b2\x1b.spec.prot"
        b"o.runtime.v1.EtagR\x04etag\x12J\n"
        b"\x08metadata\x18\x04 \x03(\x0b2..spec.pro"
        b"to.runtime.v1.StateItem.Me"
        b"tadataEntryR\x08metadata\x12=\n\x07o"
        b"ptions\x18\x05 \x01(\x0b2#.spec.proto."
        b"runtime.v1.StateOptionsR\x07o"
        b"ptions\x1a;\n\rMetadataEntry\x12\x10\n"
        b"\x03key\x18\x01 \x01(\tR\x03key\x12\x14\n\x05value\x18\x02"
        b' \x01(\tR\x05value:\x028\x01"\x1c\n\x04Etag\x12\x14\n'
        b'\x05value\x18\x01 \x01(\tR\x05value"\x8b\x03\n\x0cSt'
        b"ateOptions\x12V\n\x0bconcurrency\x18"
        b"\x01 \x01(\x0e24.spec.proto.runtime"
        b".v1.StateOptions.StateConc"
        b"urrencyR\x0bconcurrency\x12V\n\x0bco"
        b"nsistency\x18\x02 \x01(\x0e24.spec.pro"
        b"to.runtime.v1.StateOptions"
        b".StateConsistencyR\x0bconsist"
        b'ency"h\n\x10StateConcurrency\x12\x1b'
        b"\n\x17CONCURRENCY_UNSPECIFIED\x10"
        b"\x00\x12\x1b\n\x17CONCURRENCY_FIRST_WRI"
        b"TE\x10\x01\x12\x1a\n\x16CONCURRENCY_LAST_W"
        b'RITE\x10\x02"a\n\x10StateConsistency'
        b"\x12\x1b\n\x17CONSISTENCY_UNSPECIFIE"
        b"D\x10\x00\x12\x18\n\x14CONSISTENCY_EVENTUA"
        b"L\x10\x01\x12\x16\n\x12CONSISTENCY_STRONG\x10"
        b"\x022\x90\x05\n\x07Runtime\x12[\n\x08SayHello\x12"
        b"&.spec.proto.runtime.v1.Sa"
        b"yHelloRequest\x1a'.spec.proto"
        b".runtime.v1.SayHelloRespon"
        b"se\x12[\n\x08GetState\x12&.spec.prot"
        b"o.runtime.v1.GetStateReque"
        b"st\x1a'.spec.proto.runtime.v1"
        b".GetStateResponse\x12g\n\x0cGetBu"
        b"lkState\x12*.spec.proto.runti"
        b"me.v1.GetBulkStateRequest\x1a"
        b"+.spec.proto.runtime.v1.Ge"
        b"tBulkStateResponse\x12L\n\tSave"
        b"State\x12'.spec.proto.runtime"
        b".v1.SaveStateRequest\x1a\x16.goo"
        b"gle.protobuf.Empty\x12P\n\x0bDele"
        b"teState\x12).spec.proto.runti"
        b"me.v1.DeleteStateRequest\x1a\x16"
        b".google.protobuf.Empty\x12X\n\x0f"
        b"DeleteBulkState\x12-.spec.pro"
        b"to.runtime.v1.DeleteBulkSt"
        b"ateRequest\x1a\x16.google.protob"
        b"uf.Empty\x12h\n\x17ExecuteStateTr"
        b"ansaction\x125.spec.proto.run"
        b"time.v1.ExecuteStateTransa"
        b"ctionRequest\x1a\x16.google.prot"
        b"obuf.Emptyb\x06proto3",
    ),
}
