using System.Diagnostics;
using Fairlead.Access;
using Fairlead.Errors;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Tests.Access;

public sealed class SqliteApiKeyCallerSourceTests() : ApiKeyCallerSourceTests(StorageProvider.Sqlite);

public sealed class PostgresApiKeyCallerSourceTests() : ApiKeyCallerSourceTests(StorageProvider.Postgres);

public abstract class ApiKeyCallerSourceTests : IDisposable
{
    private readonly StorageProvider _provider;
    private readonly AccessFixture _access;

    private protected ApiKeyCallerSourceTests(StorageProvider provider)
    {
        _provider = provider;
        _access = new AccessFixture(provider);
    }

    [Fact]
    public async Task Authenticate_KnownKey_ReturnsFullCaller()
    {
        var key = await _access.AddKeyAsync(row =>
        {
            row.Models = ["fast"];
            row.Classes = ["bulk"];
            row.DefaultClass = "bulk";
            row.Extensions = false;
        });
        var (caller, error) = _access.Authenticate(key, Scopes.Chat);

        Assert.Null(error);
        Assert.Equal(("org_1", "Acme", "proj_1", "Search", "key_1", "k"), (caller!.OrganizationId, caller.OrganizationName, caller.ProjectId, caller.ProjectName, caller.KeyId, caller.KeyName));
        Assert.Equal(["fast"], caller.Models!);
        Assert.Equal(["bulk"], caller.Classes);
        Assert.Equal("bulk", caller.DefaultClass);
        Assert.False(caller.Extensions);
        Assert.Null(caller.SecretRetiresAt);
    }

    [Theory]
    [InlineData("Authorization", "Bearer {0}")]
    [InlineData("authorization", "bearer   {0}  ")]
    [InlineData("X-Api-Key", "{0}")]
    [InlineData("api-key", " {0} ")]
    public async Task Authenticate_EachKeyHeader_IsAccepted(string header, string form)
    {
        var key = await _access.AddKeyAsync();
        var value = string.Format(System.Globalization.CultureInfo.InvariantCulture, form, key);
        Assert.Equal("key_1", _access.Callers.Authenticate(AccessFixture.Request((header, value)), null).Caller?.KeyId);
    }

    [Fact]
    public async Task Authenticate_SeveralHeaders_BearerWins()
    {
        var first = await _access.AddKeyAsync(id: "key_1");
        var second = await _access.AddKeyAsync(id: "key_2");
        var context = AccessFixture.Request(("x-api-key", second));
        context.Request.Headers["api-key"] = "rubbish";
        Assert.Equal("key_2", _access.Callers.Authenticate(context, null).Caller?.KeyId);

        context.Request.Headers.Authorization = "Bearer " + first;
        Assert.Equal("key_1", _access.Callers.Authenticate(context, null).Caller?.KeyId);

        context.Request.Headers.Authorization = "Bearer rubbish";
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Callers.Authenticate(context, null).Error?.Code);

        // A proxy's own credentials are not for us.
        context.Request.Headers.Authorization = "Basic dXNlcjpwYXNz";
        Assert.Equal("key_2", _access.Callers.Authenticate(context, null).Caller?.KeyId);
    }

    [Theory]
    [InlineData("Authorization", "")]
    [InlineData("Authorization", "Bearer")]
    [InlineData("Authorization", "Bearer  ")]
    [InlineData("Authorization", "Basic dXNlcjpwYXNz")]
    [InlineData("x-api-key", " ")]
    [InlineData("x-other", "fl_key")]
    public void Authenticate_NoKey_ReturnsMissingApiKey(string header, string value) =>
        Assert.Equal(ErrorCode.MissingApiKey, _access.Callers.Authenticate(AccessFixture.Request((header, value)), null).Error?.Code);

    [Fact]
    public async Task Authenticate_AuthorizationWithoutScheme_ReturnsMissingApiKey()
    {
        var key = await _access.AddKeyAsync();
        Assert.Equal(ErrorCode.MissingApiKey, _access.Callers.Authenticate(AccessFixture.Request(("Authorization", key)), null).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_DuplicateHeader_IsRefused()
    {
        var key = await _access.AddKeyAsync();
        var context = new DefaultHttpContext();
        context.Request.Headers.Authorization = new(["Bearer " + key, "Bearer " + key]);
        var (caller, error) = _access.Callers.Authenticate(context, null);
        Assert.Null(caller);
        Assert.Equal(ErrorCode.InvalidApiKey, error?.Code);
    }

    [Fact]
    public async Task Authenticate_WrongSecretForKnownPublicId_ReturnsInvalidApiKey()
    {
        var key = await _access.AddKeyAsync();
        var forged = Forge(key);
        Assert.True(ApiKeyText.TryParse(forged, out _));
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Authenticate(forged).Error?.Code);
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Authenticate(ApiKeyText.New().Text).Error?.Code);
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Authenticate(key[..^1]).Error?.Code);
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Authenticate(new string('x', 20_000)).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_RevokedKey_ReturnsKeyRevokedOnlyForValidSecret()
    {
        var key = await _access.AddKeyAsync(row => row.RevokedAt = _access.Time.GetUtcNow());
        Assert.Equal(ErrorCode.KeyRevoked, _access.Authenticate(key).Error?.Code);
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Authenticate(Forge(key)).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_ExpiringKey_FailsExactlyAtExpiry()
    {
        var key = await _access.AddKeyAsync(row => row.ExpiresAt = _access.Time.GetUtcNow().AddMinutes(1));
        Assert.NotNull(_access.Authenticate(key).Caller);
        _access.Time.Advance(TimeSpan.FromMinutes(1) - TimeSpan.FromMilliseconds(1));
        Assert.NotNull(_access.Authenticate(key).Caller);
        _access.Time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(ErrorCode.KeyExpired, _access.Authenticate(key).Error?.Code);
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Authenticate(Forge(key)).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_RetiringSecret_WorksAndReportsRetirementTime()
    {
        var end = _access.Time.GetUtcNow().AddMinutes(1);
        var key = await _access.AddKeyAsync(retiresAt: end);
        Assert.Equal(end, _access.Authenticate(key).Caller?.SecretRetiresAt);
        _access.Time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(ErrorCode.KeyExpired, _access.Authenticate(key).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_MissingScope_ReturnsInsufficientScope()
    {
        var key = await _access.AddKeyAsync(row => row.Scopes = [Scopes.Embeddings]);
        Assert.NotNull(_access.Authenticate(key, Scopes.Embeddings).Caller);
        var (caller, error) = _access.Authenticate(key, Scopes.Chat);
        Assert.Null(caller);
        Assert.Equal(ErrorCode.InsufficientScope, error?.Code);
        Assert.Contains("'chat'", error!.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("10.1.2.3", true)]
    [InlineData("::ffff:10.1.2.3", true)]
    [InlineData("11.1.2.3", false)]
    [InlineData("2001:db8::7", true)]
    [InlineData("2001:db9::7", false)]
    [InlineData(null, false)]
    public async Task Authenticate_AddressAllowlist_IsEnforced(string? address, bool isAllowed)
    {
        var key = await _access.AddKeyAsync(row => row.Addresses = ["10.0.0.0/8", "2001:db8::/32"]);
        var (caller, error) = _access.Authenticate(key, null, address);
        Assert.Equal(isAllowed, caller is not null);
        if (!isAllowed) Assert.Equal(ErrorCode.AddressNotAllowed, error?.Code);
    }

    [Fact]
    public async Task Authenticate_AdminKey_WorksWithoutStore()
    {
        Assert.Null(_access.Snapshots.Current);
        Assert.NotNull(_access.Authenticate(AccessFixture.AdminSecret, Scopes.AdminWrite).Caller);
        Assert.Equal(ErrorCode.InsufficientScope, _access.Authenticate(AccessFixture.AdminSecret, Scopes.Chat).Error?.Code);
        Assert.Equal(ErrorCode.StoreUnavailable, _access.Authenticate(ApiKeyText.New().Text).Error?.Code);

        using var without = new AccessFixture(_provider, adminKey: null);
        await without.AddKeyAsync();
        Assert.Equal(ErrorCode.InvalidApiKey, without.Authenticate(AccessFixture.AdminSecret).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_CorruptKeyRow_LocksOutOnlyThatKey()
    {
        var good = await _access.AddKeyAsync(id: "key_1");
        var bad = await _access.AddKeyAsync(row => row.Addresses = ["not a network"], id: "key_2");
        Assert.NotNull(_access.Authenticate(good).Caller);
        Assert.Equal(ErrorCode.InvalidApiKey, _access.Authenticate(bad).Error?.Code);
    }

    [Fact]
    public async Task Authenticate_KnownKey_AllocatesNothing()
    {
        var key = await _access.AddKeyAsync(row =>
        {
            row.ExpiresAt = _access.Time.GetUtcNow().AddDays(1);
            row.Addresses = ["10.0.0.0/8"];
        });
        var context = AccessFixture.Request(("Authorization", "Bearer " + key), "10.1.2.3");
        for (var i = 0; i < 2_000; i++) _access.Callers.Authenticate(context, Scopes.Chat);

        const int Calls = 20_000;
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var started = Stopwatch.GetTimestamp();
        for (var i = 0; i < Calls; i++) _access.Callers.Authenticate(context, Scopes.Chat);
        var nanoseconds = Stopwatch.GetElapsedTime(started).TotalNanoseconds / Calls;
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;

        TestContext.Current.SendDiagnosticMessage("{0:F0} ns a call", nanoseconds);
        Assert.True(allocated < Calls, $"{allocated} bytes in {Calls} calls");
    }

    public void Dispose()
    {
        _access.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>The same public id with another secret and a right checksum.</summary>
    private static string Forge(string key)
    {
        while (true)
        {
            var other = ApiKeyText.New().Text;
            var body = key[..20] + other[20..63];
            var checksum = ChecksumOf(body);
            if (body + checksum != key) return body + checksum;
        }
    }

    private static string ChecksumOf(string text)
    {
        const string Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        var crc = uint.MaxValue;
        foreach (var letter in text) crc = System.Numerics.BitOperations.Crc32C(crc, (byte)letter);
        crc = ~crc;
        var checksum = "";
        for (var i = 0; i < 6; i++, crc /= 62) checksum = Alphabet[(int)(crc % 62)] + checksum;
        return checksum;
    }
}
