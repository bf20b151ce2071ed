namespace Fairlead.Limits.Elastic;

/// <summary>
/// Where elastic limits stand for the calls of one model and class: -1 at their smallest, 0 at their base, 1 at their largest. Written by
/// <see cref="ElasticService"/>, read by every call with an elastic limit. Thread-safe.
/// </summary>
internal sealed class ElasticLevel
{
    private double _position;

    /// <summary>-1 to 1. Default 0.</summary>
    public double Position
    {
        get => Volatile.Read(ref _position);
        set => Volatile.Write(ref _position, value);
    }
}
