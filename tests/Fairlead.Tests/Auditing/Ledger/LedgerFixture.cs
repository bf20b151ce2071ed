using System.Data.Common;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Content;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing.Spooling;
using Fairlead.Storage;
using Fairlead.Tests.Auditing.Content;
using Fairlead.Tests.Auditing.Spooling;
using Fairlead.Tests.Common;
using Fairlead.Tests.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Auditing.Ledger;

/// <summary>A spool, a database and the way from one to the other.</summary>
internal sealed class LedgerFixture : IDisposable
{
    private readonly List<LedgerShipper> _shippers = [];

    public LedgerFixture(StorageProvider provider)
    {
        Database = new TemporaryStorage(provider);
        Storage = Database.Open(new LedgerSchema(), new CompactLedgerSchema(), new UsageClassSchema(), new ReconciliationSchema(), new AuditBlockSchema(), new Fairlead.Auditing.Exports.AuditExportSchema(),
            new ContentSchema(), new Fairlead.Catalogue.Stored.StoredProviderSchema(), new Fairlead.Erasure.ErasureSchema());
        Contents = new ContentSealer(Storage, Settings);
    }

    public TemporarySpool Spools { get; } = new();

    public TemporaryStorage Database { get; }

    public IStorage Storage { get; }

    /// <summary>The configuration; tests change it.</summary>
    public SettableConfiguration Settings { get; } = new();

    public ContentSealer Contents { get; }

    public LedgerShipper Ship(Spool spool, IStorage? storage = null)
    {
        var shipper = new LedgerShipper(spool, storage ?? Storage, TimeProvider.System, NullLogger<LedgerShipper>.Instance);
        _shippers.Add(shipper);
        return shipper;
    }

    /// <summary>A shipper that signs, as one more process with this key.</summary>
    public LedgerShipper ShipSigned(Spool spool, AuditSigner signer, TimeProvider? time = null)
    {
        var clock = time ?? TimeProvider.System;
        var chain = new ChainWriter(signer, new ChainHeads(Spools.Root), clock);
        var shipper = new LedgerShipper(spool, Storage, clock, NullLogger<LedgerShipper>.Instance, chain: chain, contents: Contents);
        _shippers.Add(shipper);
        return shipper;
    }

    /// <summary>What a verification on this machine says.</summary>
    public async Task<IReadOnlyList<ChainReport>> VerifyAsync(AuditKeys keys, IReadOnlyList<SignedCheckpoint>? exported = null, long? from = null)
    {
        var heads = new ChainHeads(Spools.Root);
        return await new ChainVerifier(Storage, keys, () => [.. heads.All()], exported ?? [], heads.LocalNodes(), Contents).RunAsync(from, TestContext.Current.CancellationToken);
    }

    public static async Task ShipAllAsync(LedgerShipper shipper)
    {
        while (await shipper.ShipAsync(TestContext.Current.CancellationToken))
        {
        }
    }

    public async Task<long> CountAsync(string sql)
    {
        await using var connection = await OpenAsync(sql);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Constants of the tests.
        command.CommandText = sql;
#pragma warning restore CA2100
        return Convert.ToInt64(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken), System.Globalization.CultureInfo.InvariantCulture);
    }

    public async Task ExecuteAsync(string sql) => await CountAsync(sql + "; SELECT 0");

    public async Task<HashSet<string>> TextsAsync(string sql)
    {
        await using var connection = await OpenAsync(sql);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Constants of the tests.
        command.CommandText = sql;
#pragma warning restore CA2100
        var texts = new HashSet<string>(StringComparer.Ordinal);
        await using var reader = await command.ExecuteReaderAsync(TestContext.Current.CancellationToken);
        while (await reader.ReadAsync(TestContext.Current.CancellationToken)) Assert.True(texts.Add(reader.GetString(0)));
        return texts;
    }

    // Records are in blocks: statements about them run on a copy as rows.
    private async Task<DbConnection> OpenAsync(string sql)
    {
        var connection = await Storage.OpenAsync(TestContext.Current.CancellationToken);
        if (!StoredRecords.IsMeant(sql)) return connection;
        await using (connection) return await StoredRecords.CopyAsync(connection, TestContext.Current.CancellationToken);
    }

    public void Dispose()
    {
        foreach (var shipper in _shippers) shipper.Dispose();
        Contents.Dispose();
        Spools.Dispose();
        Database.Dispose();
    }
}
