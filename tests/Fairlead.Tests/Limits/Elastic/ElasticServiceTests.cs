using System.Diagnostics.Metrics;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Limits;
using Fairlead.Limits.Elastic;
using Fairlead.Scheduling;
using Fairlead.Scheduling.Adaptive;
using Fairlead.Scheduling.Quotas;
using Fairlead.Tests.Scheduling;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Tests.Limits.Elastic;

/// <summary>What counts as strain and as room.</summary>
public sealed class ElasticServiceTests : IDisposable
{
    private readonly VirtualQueue _queue = new();
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly FixedCatalogue _catalogue = new();
    private readonly LimitAccounts _accounts;
    private readonly ElasticService _elastic;
    private readonly Deployment _deployment = VirtualQueue.At("p/m", 10) with { IsAdaptive = true };

    public ElasticServiceTests()
    {
        _accounts = new LimitAccounts(_queue.Time);
        _catalogue.Models = [new CatalogueModel { Id = "m", OwnedBy = "test", Deployments = [_deployment] }];
        _elastic = new ElasticService(_accounts, new DeploymentLoads(_queue.Slots), _catalogue, _services.GetRequiredService<IMeterFactory>(), _queue.Time);
        _accounts.Elastic.Of("m", CallClasses.Bulk);
    }

    public void Dispose()
    {
        _elastic.Dispose();
        _services.Dispose();
    }

    [Fact]
    public void Step_CallsWaitAndLearnedLimitIsBelowMaximum_IsStrain()
    {
        Fill();
        _queue.Send(_queue.NewCall("a", [_deployment], TimeSpan.FromSeconds(1)));
        Steps(10);
        // The deployment does what was configured.
        Assert.Equal([0, 0, 0], Levels());
        _queue.Slots.GiveBack(_deployment, new AttemptSample(AttemptResult.Refused, _queue.Time.GetTimestamp(), 1));
        _queue.Send(_queue.NewCall("a", [_deployment], TimeSpan.FromSeconds(1)));
        Steps(10);
        Assert.Equal([0, 0, -1], Levels());
    }

    [Fact]
    public void Step_LearnedLimitBelowMaximumButNobodyWaits_IsNoStrain()
    {
        Fill();
        _queue.Slots.GiveBack(_deployment, new AttemptSample(AttemptResult.Refused, _queue.Time.GetTimestamp(), 1));
        Steps(10);
        Assert.Equal([0, 0, 0], Levels());
    }

    [Fact]
    public void Step_Responses429_AreStrainWhileTheyArrive()
    {
        Steps(1);
        for (var i = 0; i < 10; i++)
        {
            Assert.True(_queue.Slots.TryTake(_deployment));
            _queue.Slots.GiveBack(_deployment, new AttemptSample(AttemptResult.Refused, _queue.Time.GetTimestamp(), 1) { IsRateLimited = true });
            Steps(1);
        }
        Assert.Equal([0, 0, -1], Levels());
        Steps(ElasticPressure.Calm);
        Assert.Equal([0, 0, -1], Levels());
        Steps(20);
        Assert.Equal([0, 0, 0], Levels());
    }

    [Fact]
    public void Step_CallsWaitForTheProvidersOwnLimits_IsStrain()
    {
        _queue.Slots.QuotaOf(_deployment).Report(0, _queue.Time.GetTimestamp(), new ReportedLimits { Requests = new ReportedLimit(0, null, TimeSpan.FromMinutes(5)) });
        _queue.Send(_queue.NewCall("a", [_deployment], TimeSpan.FromSeconds(1)));
        Steps(15);
        Assert.Equal([0, -0.5, -1], Levels());
    }

    [Fact]
    public void Step_FreeSlots_GrowsAndSlotsInUse_DoesNot()
    {
        for (var i = 0; i < 8; i++) Assert.True(_queue.Slots.TryTake(_deployment));
        Steps(50);
        Assert.Equal([0, 0, 0], Levels());
        _queue.Slots.GiveBack(_deployment);
        Steps(100);
        Assert.Equal([1, 1, 1], Levels());
    }

    [Fact]
    public void Step_ModelIsGone_ForgetsItsLevels()
    {
        var level = _accounts.Elastic.Of("m", CallClasses.Bulk);
        Steps(120);
        Assert.Equal(1, level.Position);
        _catalogue.Models = [];
        Steps(1);
        Assert.Equal(0, level.Position);
        Assert.Empty(_accounts.Elastic.Models);
    }

    [Fact]
    public void Metrics_Levels_AreReportedByModelAndClass()
    {
        var seen = new List<string>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Meter.Scope == _services.GetRequiredService<IMeterFactory>()) self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => seen.Add($"{instrument.Name} {tags[0].Value} {tags[1].Value} {value}"));
        listener.Start();
        _accounts.Elastic.Of("m", CallClasses.Bulk).Position = -0.5;
        listener.RecordObservableInstruments();
        Assert.Equal(["fairlead.limits.elastic.level m realtime 0", "fairlead.limits.elastic.level m standard 0", "fairlead.limits.elastic.level m bulk -0.5"], seen);
    }

    private void Fill()
    {
        for (var i = 0; i < 10; i++) Assert.True(_queue.Slots.TryTake(_deployment));
    }

    private void Steps(int count)
    {
        for (var i = 0; i < count; i++) _elastic.Step();
    }

    private double[] Levels() => [.. CallClasses.All.Select(name => Math.Round(_accounts.Elastic.Of("m", name).Position, 9) + 0.0)];

    private sealed class FixedCatalogue : ICatalogue, ICatalogueSnapshot
    {
        public ICatalogueSnapshot Current => this;

        public IReadOnlyList<CatalogueModel> Models { get; set; } = [];

        public CatalogueModel? Find(string name) => Models.FirstOrDefault(model => model.Id == name);
    }
}
