namespace Fairlead.Limits;

/// <summary>
/// The limits that apply to one call. Nothing is computed until a response shows them. Thread-safe: the headers of a stream may be written
/// while the call runs.
/// </summary>
internal interface ICallLimits
{
    /// <summary>The limits at this moment; empty if there are none. A new array, which the caller may change.</summary>
    LimitState[] Read();
}
