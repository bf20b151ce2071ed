using System.Runtime.InteropServices;

namespace Fairlead.Scheduling;

/// <summary>
/// The calls that wait for one model: their lanes, how many of each class and organization there are, and the limits. Not thread-safe.
/// </summary>
internal sealed class ModelQueue(string model)
{
    private readonly Dictionary<string, Share>[] _shares = [new(), new(), new()];
    private readonly int[] _waiting = new int[3];
    private readonly int[] _bounded = new int[3];
    private readonly Dictionary<(string Organization, int Class), int> _runs = [];
    private QueueLengths _maxQueued = new();

    public string Model { get; } = model;

    public List<QueueLane> Lanes { get; } = [];

    /// <summary>1 or more ticks of the clock, after which a call counts as one class higher.</summary>
    public long AgingTicks { get; private set; } = 1;

    /// <summary>Waiting runs of jobs.</summary>
    public int Runs { get; private set; }

    /// <summary>Those of the same organization and class as <paramref name="call"/>.</summary>
    public int RunsOf(QueuedCall call) => _runs.GetValueOrDefault((call.Organization, call.Class));

    public bool IsEmpty => Lanes.Count == 0;

    /// <summary>All waiting calls of a class.</summary>
    public int WaitingOf(int rank) => _waiting[rank];

    /// <summary>The waiting calls of a class that its maximum limits.</summary>
    public int QueuedOf(int rank) => _bounded[rank];

    /// <summary>Whether more calls of this class wait than may.</summary>
    public bool IsOver(int rank) => _bounded[rank] > _maxQueued[rank];

    /// <summary>Sets the maximum of each class and the ageing.</summary>
    public void Apply(SchedulingConfig settings, TimeProvider time)
    {
        _maxQueued = settings.MaxQueued;
        AgingTicks = Math.Max(1, (long)(settings.AgingAfter.TotalSeconds * time.TimestampFrequency));
    }

    public void Count(QueuedCall call, int by)
    {
        _waiting[call.Class] += by;
        if (call.IsRun) CountRun((call.Organization, call.Class), by);
        if (!IsBounded(call)) return;
        _bounded[call.Class] += by;
        var shares = _shares[call.Class];
        if (!shares.TryGetValue(call.Organization, out var share)) shares[call.Organization] = share = new Share();
        share.Weight = call.Weight;
        share.Calls += by;
        if (share.Calls == 0) shares.Remove(call.Organization);
    }

    private void CountRun((string Organization, int Class) line, int by)
    {
        Runs += by;
        ref var runs = ref CollectionsMarshal.GetValueRefOrAddDefault(_runs, line, out _);
        runs += by;
        if (runs == 0) _runs.Remove(line);
    }

    /// <summary>
    /// The call that has to leave when the queue of a class is over its maximum: the newest of the organization that has the most places
    /// for its weight, and <paramref name="arrived"/> itself if its organization has as many.
    /// </summary>
    public QueuedCall VictimFor(QueuedCall arrived)
    {
        var shares = _shares[arrived.Class];
        var most = shares[arrived.Organization].PerWeight;
        string? largest = null;
        foreach (var (organization, share) in shares)
        {
            if (share.PerWeight <= most) continue;
            most = share.PerWeight;
            largest = organization;
        }
        QueuedCall? newest = null;
        if (largest is null) return arrived;
        foreach (var lane in Lanes)
        {
            if (!lane.LinesOf(arrived.Class).TryGetValue(largest, out var line)) continue;
            for (var node = line.Calls.Last; node is not null; node = node.Previous)
            {
                if (!IsBounded(node.Value)) continue;
                if (newest is null || node.Value.Sequence > newest.Sequence) newest = node.Value;
                break;
            }
        }
        return newest ?? arrived;
    }

    /// <summary>Calls that had a slot are as few as the slots, and runs of jobs have <see cref="RunPlaces"/>.</summary>
    public static bool IsBounded(QueuedCall call) => !call.IsReturning && !call.IsRun;

    private sealed class Share
    {
        public int Calls { get; set; }

        public double Weight { get; set; } = 1;

        public double PerWeight => Calls / Weight;
    }
}
