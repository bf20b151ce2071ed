using Fairlead.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.ChangeTracking;
using Microsoft.EntityFrameworkCore.Metadata.Builders;
using Microsoft.EntityFrameworkCore.Storage;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;

namespace Fairlead.Access;

/// <summary>What is edited: organizations, projects, keys. The tables are made by the schema steps; a test holds the two together.</summary>
internal sealed class FairleadDbContext(DbContextOptions<FairleadDbContext> options, SqlFlavour sql) : DbContext(options)
{
    private static readonly ValueConverter<DateTimeOffset, long> Milliseconds =
        new(time => time.ToUnixTimeMilliseconds(), value => DateTimeOffset.FromUnixTimeMilliseconds(value));

    private static readonly ValueConverter<string[], string> JsonArray = new(values => StringList.Write(values), json => StringList.Read(json));

    private static readonly ValueComparer<string[]> SameItems = new(
        (a, b) => ReferenceEquals(a, b) || (a != null && b != null && a.SequenceEqual(b)),
        values => values.Aggregate(0, (hash, value) => HashCode.Combine(hash, value)),
        values => values.ToArray());

    public DbSet<OrganizationRow> Organizations => Set<OrganizationRow>();

    public DbSet<ProjectRow> Projects => Set<ProjectRow>();

    public DbSet<ApiKeyRow> ApiKeys => Set<ApiKeyRow>();

    public DbSet<ApiKeySecretRow> ApiKeySecrets => Set<ApiKeySecretRow>();

    /// <summary>Begins a transaction that is the only one of all nodes to change what this context edits. It ends with the result, rolled back unless committed.</summary>
    public async Task<IDbContextTransaction> BeginChangeAsync(CancellationToken cancellationToken)
    {
        var transaction = await Database.BeginTransactionAsync(cancellationToken);
        try
        {
            await sql.LockAsync(transaction.GetDbTransaction(), StorageLock.Access, cancellationToken);
            return transaction;
        }
        catch
        {
            await transaction.DisposeAsync();
            throw;
        }
    }

    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        var organization = modelBuilder.Entity<OrganizationRow>().ToTable("organizations");
        organization.HasKey(row => row.Id);
        organization.Property(row => row.Id).HasColumnName("id");
        organization.Property(row => row.Name).HasColumnName("name");
        Time(organization.Property(row => row.CreatedAt), "created_at");
        Time(organization.Property(row => row.UpdatedAt), "updated_at");

        var project = modelBuilder.Entity<ProjectRow>().ToTable("projects");
        project.HasKey(row => row.Id);
        project.HasOne<OrganizationRow>().WithMany().HasForeignKey(row => row.OrganizationId).OnDelete(DeleteBehavior.Restrict);
        project.Property(row => row.Id).HasColumnName("id");
        project.Property(row => row.OrganizationId).HasColumnName("organization_id");
        project.Property(row => row.Name).HasColumnName("name");
        Time(project.Property(row => row.CreatedAt), "created_at");
        Time(project.Property(row => row.UpdatedAt), "updated_at");

        var key = modelBuilder.Entity<ApiKeyRow>().ToTable("api_keys");
        key.HasKey(row => row.Id);
        key.HasOne<ProjectRow>().WithMany().HasForeignKey(row => row.ProjectId).OnDelete(DeleteBehavior.Restrict);
        key.HasMany(row => row.Secrets).WithOne().HasForeignKey(row => row.KeyId).OnDelete(DeleteBehavior.Cascade);
        key.Property(row => row.Id).HasColumnName("id");
        key.Property(row => row.ProjectId).HasColumnName("project_id");
        key.Property(row => row.Name).HasColumnName("name");
        key.Property(row => row.Scopes).HasColumnName("scopes").HasConversion(JsonArray, SameItems);
        key.Property(row => row.Models).HasColumnName("models").HasConversion(JsonArray!, SameItems!);
        key.Property(row => row.Classes).HasColumnName("classes").HasConversion(JsonArray, SameItems);
        key.Property(row => row.DefaultClass).HasColumnName("default_class");
        key.Property(row => row.Addresses).HasColumnName("addresses").HasConversion(JsonArray, SameItems);
        Time(key.Property(row => row.ExpiresAt), "expires_at");
        key.Property(row => row.ApiVersion).HasColumnName("api_version");
        key.Property(row => row.Extensions).HasColumnName("extensions").HasConversion<long>();
        key.Property(row => row.BatchTokens).HasColumnName("batch_tokens").HasConversion<long?>();
        key.Property(row => row.BatchDelayMs).HasColumnName("batch_delay_ms").HasConversion<long?>();
        Time(key.Property(row => row.RevokedAt), "revoked_at");
        Time(key.Property(row => row.CreatedAt), "created_at");
        Time(key.Property(row => row.UpdatedAt), "updated_at");

        var secret = modelBuilder.Entity<ApiKeySecretRow>().ToTable("api_key_secrets");
        secret.HasKey(row => row.PublicId);
        secret.Property(row => row.PublicId).HasColumnName("public_id");
        secret.Property(row => row.KeyId).HasColumnName("key_id");
        secret.Property(row => row.Hash).HasColumnName("hash");
        Time(secret.Property(row => row.CreatedAt), "created_at");
        Time(secret.Property(row => row.RetiresAt), "retires_at");
    }

    private static void Time<T>(PropertyBuilder<T> property, string column) => property.HasColumnName(column).HasConversion(Milliseconds);
}
