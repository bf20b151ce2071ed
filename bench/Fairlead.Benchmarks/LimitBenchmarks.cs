using Fairlead.Tests.Common;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Providers;

namespace Fairlead.Benchmarks;

/// <summary>
/// Admission and settlement of one call in memory. Goal with eight limits: at most 1 µs p50, and no allocation beyond the reservation.
/// </summary>
[MemoryDiagnoser]
public class LimitBenchmarks
{
    private static readonly Usage Used = new(200, 80);
    private static readonly Cost Paid = new(0.0006m, Basis.Measured);

    private InMemoryTokenLedger _ledger = null!;
    private GatewayCall _call = null!;

    /// <summary>0, 8 (requests, input, output and money of a key and its organization) or 24.</summary>
    [Params(0, 8, 24)]
    public int Limits { get; set; }

    internal static int Run()
    {
        // In this process: the machine of a developer need not build another program for it.
        var config = DefaultConfig.Instance.AddColumn(StatisticColumn.Median)
            .AddJob(Job.ShortRun.WithIterationCount(10).WithToolchain(InProcessEmitToolchain.Instance));
        BenchmarkRunner.Run<LimitBenchmarks>(config);
        return 0;
    }

    [GlobalSetup]
    public void SetUp()
    {
        var four = new LimitSet
        {
            RequestsPerMinute = 1_000_000_000_000, InputTokensPerMinute = 1_000_000_000_000, OutputTokensPerMinute = 1_000_000_000_000,
            PicoUsdPerDay = long.MaxValue / 2,
        };
        var eight = four with
        {
            ConcurrentGenerations = 1000, TokensPerDay = long.MaxValue / 2, TokensPerMonth = long.MaxValue / 2,
            PicoUsdPerMonth = long.MaxValue / 2,
        };
        var set = Limits switch { 0 => LimitSet.None, 8 => four, _ => eight };
        var caller = new Caller
        {
            OrganizationId = "org_1", OrganizationName = "o", ProjectId = "proj_1", ProjectName = "p", KeyId = "key_1", KeyName = "k",
            Scopes = [.. Scopes.Default],
            OrganizationLimits = set, KeyLimits = set, ProjectLimits = Limits == 24 ? set : LimitSet.None,
        };
        var model = new CatalogueModel
        {
            Id = "m", OwnedBy = "test", MaxOutputTokens = 4096,
            Deployments =
            [
                new Deployment
                {
                    Name = "p/m", ProviderName = "p", UpstreamModel = "m", Prices = new ModelPrices(1, 5), Provider = new NoProvider(),
                },
            ],
        };
        _call = new GatewayCall("req_1", "gen_01KAR1X2Y3Z4A5B6C7D8E9F0GH", OpenAiChatDialect.Create(), caller, TimeProvider.System)
        {
            Model = model, MaxInputTokens = 800, InputEstimate = new TokenEstimate(200, Basis.Estimated),
            Facts = new RequestFacts { Model = "m", MaxOutputTokens = 1000 },
        };
        _ledger = new InMemoryTokenLedger(new LimitAccounts(TimeProvider.System), new ProcessBudgetLeases(TimeProvider.System),
            new OutputHistories(), null);
    }

    [Benchmark]
    public bool ReserveAndSettle()
    {
        _call.Reservation = null;
        var reserving = _ledger.ReserveAsync(_call, ReservationParts.All, CancellationToken.None);
        var reserved = reserving.IsCompletedSuccessfully && reserving.Result is null;
        _ledger.Settle(_call.Reservation!, Used, Paid);
        return reserved;
    }

    private sealed class NoProvider() : Provider("p", "openai")
    {
        public override bool Speaks(Dialect dialect) => false;

        public override ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
