using System.Text;
using Fairlead.Storage;
using Fairlead.Tests.Auditing;
using Fairlead.Tests.Auditing.Ledger;

namespace Fairlead.Tests.Erasure;

/// <summary>Files of the spool that had a record of an erased call.</summary>
public sealed class SpoolRenewalTests
{
    private const string Marker = "zq7 marker";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Also in files that were full once, and are reused.</summary>
    [Fact]
    public async Task RenewFiles_AfterRecordsAreShipped_LeavesNoFileWithThem()
    {
        using var fixture = new LedgerFixture(StorageProvider.Sqlite);
        var spool = fixture.Spools.Open(segmentBytes: 16 * 1024);
        var shipper = fixture.Ship(spool);
        for (var round = 0; round < 4; round++)
        {
            for (var i = 0; i < 20; i++) await CallAsync(Marker);
            await LedgerFixture.ShipAllAsync(shipper);
        }
        Assert.True(spool.ReusedSegments > 0);
        // A call that runs meanwhile is recorded all the same.
        var running = New("eve");
        await spool.AttemptStartedAsync(running, running.Try());
        Assert.True(await HasMarkerAsync());

        Assert.True(spool.TryRenewFiles());
        await LedgerFixture.ShipAllAsync(shipper);
        Assert.False(await HasMarkerAsync());

        await spool.CallEndedAsync(running.End(), 200);
        await CallAsync("eve");
        await LedgerFixture.ShipAllAsync(shipper);
        Assert.Equal(82, await fixture.CountAsync("SELECT COUNT(*) FROM audit_records"));

        async Task CallAsync(string user)
        {
            var call = New(user);
            await spool.AttemptStartedAsync(call, call.Try());
            await spool.CallEndedAsync(call.End(), 200);
        }

        Fairlead.Pipeline.GatewayCall New(string user)
        {
            var call = RecordedCalls.New();
            call.Facts.Label().User = user;
            return call;
        }

        async Task<bool> HasMarkerAsync()
        {
            foreach (var file in Directory.EnumerateFiles(spool.Folder.Path).Where(file => Path.GetFileName(file) != "lock"))
            {
                await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                var bytes = new byte[stream.Length];
                await stream.ReadExactlyAsync(bytes, Cancel);
                if (bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(Marker)) >= 0) return true;
            }
            return false;
        }
    }
}
