namespace Fairlead.Scheduling;

/// <summary>The calls of one organization and class in a lane, in the order of arrival.</summary>
internal sealed class OrganizationLine
{
    public LinkedList<QueuedCall> Calls { get; } = [];
}

/// <summary>
/// The waiting calls of one model that may use the same deployments. Most calls of a model are in one lane; a call that has tried a
/// deployment, or cannot be expressed at one, is in another. Not thread-safe.
/// </summary>
internal sealed class QueueLane
{
    private readonly Dictionary<string, OrganizationLine>[] _lines = [new(), new(), new()];

    /// <param name="model">The queue of the model.</param>
    /// <param name="slots">The deployments in the order of their numbers, without repetition.</param>
    public QueueLane(ModelQueue model, DeploymentSlot[] slots)
    {
        Model = model;
        Slots = slots;
    }

    public ModelQueue Model { get; }

    public DeploymentSlot[] Slots { get; }

    /// <summary>Calls that had a slot before; they go first.</summary>
    public LinkedList<QueuedCall> Returning { get; } = [];

    /// <summary>All waiting calls.</summary>
    public int Count { get; private set; }

    /// <summary>The lines of a class by organization. None is empty.</summary>
    public Dictionary<string, OrganizationLine> LinesOf(int rank) => _lines[rank];

    /// <summary>All waiting calls, in no particular order.</summary>
    public IEnumerable<QueuedCall> Calls => Returning.Concat(_lines.SelectMany(lines => lines.Values).SelectMany(line => line.Calls));

    public bool HasSlots(DeploymentSlot[] slots) => Slots.AsSpan().SequenceEqual(slots);

    public void Add(QueuedCall call)
    {
        Count++;
        call.Lane = this;
        if (call.IsReturning)
        {
            Returning.AddLast(call.Node);
            return;
        }
        var lines = _lines[call.Class];
        if (!lines.TryGetValue(call.Organization, out var line)) lines[call.Organization] = line = new OrganizationLine();
        // Only a call that has an earlier place is not the last.
        var before = line.Calls.Last;
        while (before is not null && before.Value.Sequence > call.Sequence) before = before.Previous;
        if (before is null) line.Calls.AddFirst(call.Node);
        else line.Calls.AddAfter(before, call.Node);
    }

    public void Remove(QueuedCall call)
    {
        Count--;
        if (call.IsReturning)
        {
            Returning.Remove(call.Node);
            return;
        }
        var lines = _lines[call.Class];
        var line = lines[call.Organization];
        line.Calls.Remove(call.Node);
        if (line.Calls.Count == 0) lines.Remove(call.Organization);
    }

    /// <summary>
    /// How high a call counts: the rank of its class, less one for each span of <c>agingAfter</c> that it has waited. 0 is the highest.
    /// </summary>
    public int LevelOf(QueuedCall call, long now) =>
        call.Class == 0 ? 0 : (int)Math.Max(0, call.Class - ((now - call.EnteredAt) / Model.AgingTicks));
}
