using System.Diagnostics.Metrics;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Scheduling;
using Fairlead.Telemetry;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Limits.Elastic;

/// <summary>Moves the levels of elastic limits once a second, from what Scheduling knows of the models. Off the path of calls.</summary>
internal sealed class ElasticService : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>There is room while at most this part of the slots is in use, and no call waits.</summary>
    public const double RoomShare = 0.7;

    private readonly Dictionary<string, (ElasticPressure Pressure, long RateLimited)> _models = new(StringComparer.Ordinal);
    private readonly LimitAccounts _accounts;
    private readonly DeploymentLoads _loads;
    private readonly ICatalogue _catalogue;
    private readonly TimeProvider _time;
    private readonly Meter _meter;

    public ElasticService(LimitAccounts accounts, DeploymentLoads loads, ICatalogue catalogue, IMeterFactory meters, TimeProvider time)
    {
        (_accounts, _loads, _catalogue, _time) = (accounts, loads, catalogue, time);
        _meter = meters.Create(GatewayTelemetry.Name);
        _meter.CreateObservableGauge("fairlead.limits.elastic.level", Levels, unit: null,
            "Where elastic limits stand: -1 at their smallest, 0 at their base, 1 at their largest.");
    }

    /// <summary>Moves all levels by one step. For one thread at a time.</summary>
    public void Step()
    {
        foreach (var (id, levels) in _accounts.Elastic.Models)
        {
            if (_catalogue.Current.Find(id) is not { } model || model.Id != id)
            {
                _accounts.Elastic.Remove(id);
                _models.Remove(id);
                foreach (var level in levels) level.Position = 0;
                continue;
            }
            var load = _loads.Of(model);
            var (pressure, rateLimited) = _models.TryGetValue(id, out var known) ? known : (new ElasticPressure(), load.RateLimited);
            _models[id] = (pressure, load.RateLimited);
            pressure.Step((load.Queued > 0 && load.IsLimited) || load.RateLimited > rateLimited, load.Queued == 0 && load.Use <= RoomShare);
            for (var rank = 0; rank < levels.Length; rank++) levels[rank].Position = pressure.LevelOf(rank);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken)) Step();
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The server stops.
        }
    }

    public override void Dispose()
    {
        _meter.Dispose();
        base.Dispose();
    }

    private IEnumerable<Measurement<double>> Levels()
    {
        foreach (var (model, levels) in _accounts.Elastic.Models)
        {
            for (var rank = 0; rank < levels.Length; rank++)
            {
                yield return new Measurement<double>(levels[rank].Position, new("fairlead.model", model),
                    new("fairlead.class", CallClasses.All[rank]));
            }
        }
    }
}
