using Fairlead.Access;
using Fairlead.Auditing.Administration;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Fairlead.Tests.Auditing.Ledger;
using Fairlead.Tests.Auditing.Spooling;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Auditing.Administration;

/// <summary>How records of administration get to the chain.</summary>
public sealed class AdminAuditTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Take_BehindRowsThatAreNoRecords_FindsTheRecord(bool isPostgres)
    {
        var cancel = TestContext.Current.CancellationToken;
        using var fixture = new LedgerFixture(isPostgres ? StorageProvider.Postgres : StorageProvider.Sqlite);
        await using var connection = await fixture.Storage.OpenAsync(cancel);
        await using var transaction = await fixture.Storage.Sql.BeginWriteAsync(connection, cancel);
        const int Unreadable = (2 * ChangeTable.MaxTaken) + 50;
        for (var i = 0; i < Unreadable; i++) await ChangeTable.AddAsync(connection, "nonsense"u8.ToArray(), cancel);
        var record = AdminRecordWriter.Write(new AdminAction(AdminActor.OfServer, "key.create"), TimeProvider.System);
        await ChangeTable.AddAsync(connection, record, cancel);
        Assert.Equal(record, Assert.Single(await ChangeTable.TakeAsync(connection, fixture.Storage.Sql, cancel)).Record.ToArray());
        Assert.Empty(await ChangeTable.TakeAsync(connection, fixture.Storage.Sql, cancel));
        Assert.Equal(Unreadable, await connection.Int64Async("SELECT COUNT(*) FROM audit_changes", [], cancel));
    }

    /// <summary>What was done is done: its caller must not learn that it failed.</summary>
    [Fact]
    public async Task Record_SpoolFails_DoesNotThrow()
    {
        await using var none = new ServiceCollection().BuildServiceProvider();
        var audit = new AdminAudit(none, new PendingChanges(), TimeProvider.System, NullLogger<AdminAudit>.Instance);
        audit.Record(new AdminAction(AdminActor.OfServer, "webhook.create"));
        audit.Record(new AdminAction(AdminActor.OfServer, "webhook.create") { Before = _ => throw new InvalidOperationException() });
    }

    [Fact]
    public async Task Record_Refusal_IsARecordOfAdministration()
    {
        using var spools = new TemporarySpool();
        var spool = spools.Open();
        await using var services = new ServiceCollection().AddSingleton(spool).BuildServiceProvider();
        var audit = new AdminAudit(services, new PendingChanges(), TimeProvider.System, NullLogger<AdminAudit>.Instance);
        audit.Record(new AdminAction(new AdminActor(AdminActor.Unknown), AdminAction.Refused) { ErrorCode = "invalid_api_key" });
        Assert.Equal(SpoolRecordType.AdministrationRecorded, Assert.Single(TemporarySpool.ReadAll(spool.Folder)).Type);
    }
}
