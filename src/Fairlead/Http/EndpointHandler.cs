namespace Fairlead.Http;

/// <summary>
/// Serves one request of an authenticated caller. Returns the response, or the error as a value; may also throw
/// <see cref="Errors.GatewayErrorException"/>. Called by <see cref="EndpointInvoker"/>, from many threads at once.
/// </summary>
internal delegate Task<EndpointResult> EndpointHandler(EndpointRequest request);
