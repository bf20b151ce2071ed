namespace Fairlead.Pipeline;

/// <summary>A call's part in work that several calls share. For one call.</summary>
internal interface ICallShare
{
    /// <summary>
    /// The call ends and leaves the others. Decides what it pays: adds an attempt, or limits what one of its own is charged. Called before
    /// the call is charged, on every exit path; calling it again changes nothing.
    /// </summary>
    void Leave(GatewayCall call);
}
