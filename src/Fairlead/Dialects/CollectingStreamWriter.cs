namespace Fairlead.Dialects;

/// <summary>A stream writer that can also return the whole response.</summary>
internal abstract class CollectingStreamWriter : DialectStreamWriter
{
    /// <summary>
    /// The response body that a request without a stream would have received. Called after <see
    /// cref="DialectStreamWriter.PrepareEndAsync"/>.
    /// </summary>
    public abstract byte[] ToWhole();
}
